//! Rust's BTreeMap, from its standard library: an example of slotlookup.h.
//!
//!     rustc --edition 2021 -O -C panic=abort --crate-type cdylib -o btree_map.so btree_map.rs
//!     slotlookup verify ./btree_map.so
//!     slotlookup run -s linear -s ./btree_map.so
//!
//! Ranges by (start, number). gfn lookup O(log n); hva visit O(n), since only ranges that start after it are skipped;
//! update O(log n).

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};

const ABI_VERSION: u32 = 1;
const NONE: i32 = -1;
const GFN: u32 = 1;
const HVA: u32 = 2;

/// `struct slotlookup_structure`, field for field.
#[repr(C)]
pub struct Structure {
    abi_version: u32,
    size: u32,
    name: *const c_char,
    roles: u32,
    reserved: u32,
    create: extern "C" fn(u32) -> *mut c_void,
    destroy: unsafe extern "C" fn(*mut c_void),
    insert: unsafe extern "C" fn(*mut c_void, u64, u64, i32) -> c_int,
    remove: unsafe extern "C" fn(*mut c_void, u64, u64, i32) -> c_int,
    find: Option<unsafe extern "C" fn(*mut c_void, u64) -> i32>,
    visit: Option<unsafe extern "C" fn(*mut c_void, u64, u64, *mut i32, usize) -> usize>,
    check: Option<unsafe extern "C" fn(*mut c_void) -> *const c_char>,
    bytes: Option<unsafe extern "C" fn(*mut c_void) -> usize>,
}

// The name is a literal, and the table is never written.
unsafe impl Sync for Structure {}

/// (start, number) to last.
type Ranges = BTreeMap<(u64, i32), u64>;

unsafe fn ranges<'a>(structure: *mut c_void) -> &'a mut Ranges {
    &mut *structure.cast::<Ranges>()
}

extern "C" fn create(_role: u32) -> *mut c_void {
    Box::into_raw(Box::<Ranges>::default()).cast()
}

unsafe extern "C" fn destroy(structure: *mut c_void) {
    drop(Box::from_raw(structure.cast::<Ranges>()));
}

unsafe extern "C" fn insert(structure: *mut c_void, start: u64, last: u64, number: i32) -> c_int {
    match ranges(structure).insert((start, number), last) {
        None => 0,
        Some(_) => 1,
    }
}

unsafe extern "C" fn remove(structure: *mut c_void, start: u64, _last: u64, number: i32) -> c_int {
    match ranges(structure).remove(&(start, number)) {
        Some(_) => 0,
        None => 1,
    }
}

unsafe extern "C" fn find(structure: *mut c_void, point: u64) -> i32 {
    match ranges(structure).range(..=(point, i32::MAX)).next_back() {
        Some((&(_, number), &last)) if point <= last => number,
        _ => NONE,
    }
}

unsafe extern "C" fn visit(structure: *mut c_void, start: u64, last: u64, numbers: *mut i32, capacity: usize) -> usize {
    let numbers = std::slice::from_raw_parts_mut(numbers, capacity);
    let mut met = 0;
    for (&(_, number), &end) in ranges(structure).range(..=(last, i32::MAX)) {
        if end >= start {
            numbers[met] = number;
            met += 1;
        }
    }
    met
}

static TABLE: Structure = Structure {
    abi_version: ABI_VERSION,
    size: std::mem::size_of::<Structure>() as u32,
    name: b"BTreeMap\0".as_ptr().cast(),
    roles: GFN | HVA,
    reserved: 0,
    create,
    destroy,
    insert,
    remove,
    find: Some(find),
    visit: Some(visit),
    check: None,
    bytes: None,
};

#[no_mangle]
pub extern "C" fn slotlookup_structure() -> *const Structure {
    &TABLE
}

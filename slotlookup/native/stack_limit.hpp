// A limit for the stack of a process that runs structures, and words for a recursion that reaches it.
#pragma once

#include <cstddef>

namespace slotlookup {

// Limits the stack of the main thread, which must be the caller, to `bytes` or to the lower limit that it has. Without a
// limit a recursion without end takes memory for as long as there is some, and looks like a call that does not return.
// From then on a crash that comes from the limit says so on stderr. Throws std::system_error.
void limit_stack(std::size_t bytes);

}  // namespace slotlookup

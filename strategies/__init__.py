"""The structures, one file each. A native structure also has a C++ source of the same name in native/."""

"""The structures, one file each; the native ones have a C++ source of the same name in native/."""

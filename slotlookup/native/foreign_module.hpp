#pragma once

#include <nanobind/nanobind.h>

void bind_foreign(nanobind::module_& m);

// The whole of a file.
#pragma once

#include "knowledge/error.hpp"

#include <string>

namespace homeostat::bpf {

Result<std::string> read_text(const std::string& path);

} // namespace homeostat::bpf

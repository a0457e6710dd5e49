// Whether BTF holds together: libbpf before its version 1.5 takes names and types that are not there for
// granted, and falls over them.
#pragma once

#include <string>

struct btf;

namespace homeostat::bpf {

// What is wrong with it, as "type 7 has a name that is not there"; "" where nothing is.
std::string mistake_in(const btf* types);

} // namespace homeostat::bpf

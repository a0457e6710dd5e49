// An object file, opened after it was looked at: what is none is refused in words that say what it is and
// what to do, before libbpf or the kernel see it.
#pragma once

#include "knowledge/error.hpp"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <memory>
#include <string>

namespace homeostat::bpf {

struct CloseObject {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};
struct FreeBtf {
    void operator()(btf* types) const { btf__free(types); }
};
using ObjectFile = std::unique_ptr<bpf_object, CloseObject>;

// Has libbpf, which before its version 1.3 does not know them, take functions in SEC("tcx/ingress") and
// SEC("tcx/egress") for TC programs. They are attached where the configuration says.
void name_tcx_programs(bpf_object* object);

// Nothing is loaded, no privileges are needed, and no map has a place any more where libbpf would pin it.
//
// Fails, each with its own text: no such file, a folder, no regular file; no ELF (says what it is); an ELF
// for another machine or byte order; cut off; no BTF; maps as libbpf took them before its version 1; damaged;
// no program; a program in a section that libbpf does not know.
Result<ObjectFile> open_object(const std::string& path);

} // namespace homeostat::bpf

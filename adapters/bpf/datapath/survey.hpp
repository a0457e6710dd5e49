// What is attached to interfaces, by whom, and since when: for people. Nothing is changed, whoever's it is.
#pragma once

#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/datapath/owner.hpp"
#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

struct SurveyedProgram {
    std::string hook; // "xdp skb", "xdp drv", "xdp hw", "tcx ingress", "tcx egress", "clsact ingress", …
    std::uint32_t id = 0;
    std::string name;    // the kernel's, at most 15 characters
    std::string tag;     // of its instructions, in hexadecimal
    std::string version; // of ours: the name of its pin, "guard@0123456789ab"
    std::int64_t loaded_unix_ms = 0;
    std::int64_t attached_unix_ms = 0; // of ours, as the manifest says; 0: not known
    std::uint64_t run_count = 0;       // since the kernel's statistics are on
    std::uint64_t run_ns = 0;
    Owner owner;
};

struct SurveyedInterface {
    std::string name;
    unsigned ifindex = 0;
    bool up = false;
    std::vector<SurveyedProgram> programs; // XDP first, in the order of attached_programs()
};

// The interfaces of the calling thread's network namespace, by ifindex; all of them, or those named. Fails
// where one that is named is not there. `bpffs` is where our instances' pins are, `state` where their
// manifests are.
Result<std::vector<SurveyedInterface>> survey_interfaces(const std::vector<std::string>& names,
                                                         const std::string& bpffs, const std::string& state);

// Whether the kernel is told by its sysctl to count the runs of programs, and their time; a process may have
// it do so, too, for as long as it runs. None where that cannot be read.
std::optional<bool> counts_runs();

// Whether the instance of this name attached it, for the interface that is called so. What it attached when
// the device had another name is not what it would go on with here.
bool is_of(const SurveyedProgram& program, std::string_view instance, std::string_view interface);

// The XDP program that the instance takes for the interface's: its own, else the first one. One in the
// network card may run beside one of the host's. nullptr where there is none.
const SurveyedProgram* xdp_that_counts(const SurveyedInterface& surveyed, std::string_view instance);

} // namespace homeostat::bpf

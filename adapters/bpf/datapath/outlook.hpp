// Which XDP modes an interface may take, as far as that can be known without trying, and why it did not take
// one.
#pragma once

#include "adapters/bpf/datapath/link_facts.hpp"
#include "knowledge/datapath.hpp"

#include <string>
#include <vector>

namespace homeostat::bpf {

struct ModeOutlook {
    enum class Answer { yes, no, unknown };
    Answer answer = Answer::unknown;
    std::string why; // of a yes: what it depends on; "" for nothing

    bool operator==(const ModeOutlook&) const = default;
};

// Pure. What is attached to the interface itself is another matter.
ModeOutlook outlook(const LinkFacts& facts, XdpMode mode);

// Pure. Why the kernel refused an attachment with this errno, by the same facts: it gives no words of its
// own.
// "" where the number says all.
std::string cause_of_refusal(int number, const LinkFacts& facts, XdpMode mode);

struct PossibleRungs {
    std::vector<XdpMode> ladder;
    std::string ruled_out; // with the reason for each mode; "" for none
};
// Pure. Of the ladder, what a switch from mode `present` may try. The present program is detached for a mode
// that does not coexist with it, so that one which cannot be had is not tried.
PossibleRungs possible_rungs(const LinkFacts& facts, const std::vector<XdpMode>& ladder, XdpMode present);
// By the facts as they are now; all of the ladder where they cannot be asked.
PossibleRungs possible_rungs_on(unsigned ifindex, const std::vector<XdpMode>& ladder, XdpMode present);

} // namespace homeostat::bpf

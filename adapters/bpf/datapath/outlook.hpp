// Which XDP modes an interface may take, as far as that can be known without trying.
#pragma once

#include "adapters/bpf/datapath/link_facts.hpp"
#include "knowledge/datapath.hpp"

#include <string>

namespace homeostat::bpf {

struct ModeOutlook {
    enum class Answer { yes, no, unknown };
    Answer answer = Answer::unknown;
    std::string why; // of a yes: what it depends on; "" for nothing

    bool operator==(const ModeOutlook&) const = default;
};

// Pure. What is attached there already is another matter.
ModeOutlook outlook(const LinkFacts& facts, XdpMode mode);

} // namespace homeostat::bpf

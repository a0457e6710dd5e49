// What the kernel says in words when it refuses to attach an XDP program. Creating a link returns a number
// only; the words (netlink's extended ack) go to the tracepoint bpf_xdp_link_attach_failed, of Linux 6.6 and
// later.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "knowledge/error.hpp"

#include <memory>
#include <string>

namespace homeostat::bpf {

// Listens as long as it lives; costs nothing while nothing is refused. Move-only. Thread: that of the
// datapath.
class AttachMessages {
  public:
    // Takes a few milliseconds. Fails where the kernel has no such tracepoint, or does not let us listen.
    static Result<AttachMessages> listen();

    // Before an attempt.
    void forget();
    // What was said since, to this process; "" for nothing.
    std::string newest() const;

  private:
    struct Unmap {
        void operator()(char* text) const;
    };

    Descriptor map_;
    std::unique_ptr<char, Unmap> text_; // the map's only value
    Descriptor program_;
    Descriptor link_;
};

} // namespace homeostat::bpf

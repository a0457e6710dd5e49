// What the kernel says in words when it refuses to attach an XDP program. Creating a link returns a number
// only; the words (netlink's extended ack) go to the tracepoint bpf_xdp_link_attach_failed, of Linux 6.6 and
// later.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "knowledge/error.hpp"

#include <memory>
#include <optional>
#include <string>

namespace homeostat::bpf {

// Listens from the first attachment on; that costs nothing while nothing is refused. Move-only. Thread: that
// of the datapath.
class AttachMessages {
  public:
    // Takes some milliseconds the first time, and so does the end. Fails where the kernel has no such
    // tracepoint, or does not let us listen.
    const Result<void>& listen();

    // Before an attempt.
    void forget();
    // What was said since, to this process; "" for nothing, and where nobody listens.
    std::string newest() const;

  private:
    struct Unmap {
        void operator()(char* text) const;
    };

    Result<void> start();

    std::optional<Result<void>> listening_; // none: not tried yet
    Descriptor map_;
    std::unique_ptr<char, Unmap> text_; // the map's only value
    Descriptor program_;
    Descriptor link_;
};

} // namespace homeostat::bpf

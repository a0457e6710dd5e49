// Throwaway networks: namespaces joined by veth pairs, for the quick start and the tests. Everything is
// made with iproute2's `ip` and removed by the owner's destructor. Needs root.
#pragma once

#include "knowledge/error.hpp"

#include <string>
#include <string_view>

namespace homeostat::lab {

// Runs `ip ARGUMENTS` (split at spaces) in the calling thread's namespace; a failure carries what it said.
Result<void> ip(std::string_view arguments);

// The calling thread is in another network namespace until this is destroyed.
class Entered {
  public:
    Entered(Entered&& other) noexcept;
    Entered& operator=(Entered&&) = delete;
    ~Entered(); // back to where the thread was

  private:
    friend class NetNamespace;
    explicit Entered(int old_namespace) : old_namespace_(old_namespace) {}
    int old_namespace_; // descriptor; -1 once moved from
};

// A named network namespace, as `ip netns` shows it. Destroying it removes it and all links in it,
// unless it was told to keep().
class NetNamespace {
  public:
    static Result<NetNamespace> create(std::string name); // with lo up
    NetNamespace(NetNamespace&& other) noexcept;
    NetNamespace& operator=(NetNamespace&& other) noexcept;
    ~NetNamespace();

    const std::string& name() const { return name_; }
    Result<Entered> enter() const;
    void keep() { keep_ = true; }

  private:
    explicit NetNamespace(std::string name) : name_(std::move(name)) {}
    std::string name_; // "" once moved from
    bool keep_ = false;
};

// Two namespaces joined by a veth pair: `host`, where the controller works, and `peer`, from where
// packets come. Addresses 10.77.0.1 (host) and 10.77.0.2 (peer), fd77::1 and fd77::2, /24 and /64; both ends
// up, neighbours entered by hand (no ARP or ND traffic), IPv6 without duplicate address detection and
// without router solicitations: nothing is on the wire that nobody sent. GRO is on at both ends, so that
// native XDP delivers. When create() returns, both ends carry packets.
struct Lab {
    NetNamespace host;
    NetNamespace peer;
    std::string host_link; // the interface in `host`
    std::string peer_link;

    // `tag` makes the names unique: namespaces TAG-host and TAG-peer, links "lab0" and "lab1". `queues`:
    // receive and transmit queues of each end.
    static Result<Lab> create(const std::string& tag, int queues = 1);
    void keep();
};

} // namespace homeostat::lab

// Watches the managed network interfaces through rtnetlink: whether they are there and up, and their
// counters.
#pragma once

#include "adapters/rtnetlink/links.hpp"
#include "adapters/rtnetlink/socket.hpp"
#include "engine/ports.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace homeostat::rtnetlink {

// An interface is known by its name: one that is renamed is gone, and one that takes a managed name is there.
// The first collect() tells of every managed interface, also of an absent one; later ones of changes, in
// their order. An event with another index is about another device. Notifications that the kernel had to drop
// are made good by asking for the state of all; a failure to do so is a batch with an error, and is tried
// again at the next call.
//
// With counters, each collect() at a later instant than the last has a batch of link_{receive,transmit}_
// {packets,bytes,dropped,errors}_total with the label iface, for the interfaces that are there; series of
// absent ones end.
//
// It sees the network namespace in which it was created. Thread: the loop's.
class LinkSensor final : public Sensor {
  public:
    static Result<std::unique_ptr<LinkSensor>> create(SensorId id, const std::vector<std::string>& interfaces,
                                                      bool counters);

    void collect(Instant now, Readings& out) override;
    int descriptor() const override { return notifications_.descriptor(); }

  private:
    struct Interface {
        LinkEvent state;
        bool told = false;    // some event was given for it
        bool counted = false; // its series are defined and have not ended
    };

    LinkSensor(SensorId id, Socket notifications, Socket requests);

    void notified(const nlmsghdr& message, Readings& out);
    Result<void> follow(Readings& out);
    Result<void> ask_all(Readings& out);
    void tell(Interface& interface, LinkEvent state, Readings& out);
    SampleBatch begin_batch(Instant now) const;
    void count(Instant now, Readings& out);
    void count_interface(std::size_t place, SampleBatch& batch);

    SensorId id_;
    std::vector<Interface> interfaces_;
    Socket notifications_;
    Socket requests_;
    bool with_counters_ = false;
    bool complete_ = false; // no notification was lost since the state of all was asked for
    std::optional<Instant> counted_at_;
};

} // namespace homeostat::rtnetlink

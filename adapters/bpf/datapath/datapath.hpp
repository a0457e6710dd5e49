// XDP and TC programs on interfaces, through libbpf: the port to which Execute writes.
#pragma once

#include "adapters/bpf/datapath/anchors.hpp"
#include "adapters/bpf/datapath/device_watch.hpp"
#include "adapters/bpf/datapath/guard.hpp"
#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/datapath/programs.hpp"
#include "adapters/bpf/datapath/tc_link.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "adapters/bpf/maps/interface_map.hpp"
#include "engine/ports.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace homeostat::bpf {

// One of ours from before, whose object has changed since: the next step replaces it.
inline constexpr std::string_view outdated_prefix = "outdated:";

// Who reads a map of an interface: another one, when that takes its place.
struct MapReader {
    std::string map;
    std::shared_ptr<MapHandoff> handoff;
};

// What is due of an interface's guard.
enum class GuardDuty {
    none,       // it passes
    stand_down, // a switch is over
    stand_by,   // a change could not be taken back: it stays armed until the next one that succeeds
};

// All that a transaction on one interface works with.
struct ManagedInterface {
    std::string name;
    InterfacePins pins;
    LoadedPrograms programs;
    std::optional<XdpLink> link;
    AttachMessages* messages = nullptr;    // of the datapath
    DeviceWatch* devices = nullptr;        // of the datapath
    std::uint64_t devices_generation = 0;  // at which the link was seen to be on the interface's device
    std::optional<Guard> guard;            // where a program has a twin, from the first transaction on
    std::optional<Guard::Kind> guard_kind; // of TC programs, too
    std::map<TcDirection, TcLink> tc{};
    std::map<TcDirection, std::int64_t> tc_attached_unix_ms{};
    GuardDuty guard_duty = GuardDuty::none;
    std::map<MapEntry, MapValue> owned; // as they were set
    std::int64_t attached_unix_ms = 0;
    std::vector<MapReader> waiting_readers{}; // for a map that is not the interface's yet
    std::vector<MapReader> readers{};         // all of them
    std::optional<std::uint32_t> card_read{}; // the program in the network card whose maps they have; 0: none
};

struct DatapathOptions {
    InstancePlace place;
    bool anchored = true;                  // see anchors.hpp
    std::optional<Guard::Kind> guard_kind; // and of TC programs; none: what the kernel has
    KernelPort kernel;
    // For a command on one interface: what the instance has on others stays, and the program that is attached
    // goes by its name.
    bool leaves_others = false;
    std::string
        map_merger{}; // our map_merge.bpf.o; without it no map whose definition changed is carried over
};

// Takes back a change that was cut short, detaches everything that the instance has attached, and removes all
// traces of it. Returns what was detached, one interface a line; a second call finds nothing. Fails, with
// what is still there, where the instance runs, or something cannot be undone. In the calling thread's
// network namespace.
Result<std::vector<std::string>> detach_instance(const InstancePlace& place,
                                                 const KernelPort& kernel = KernelPort());

// The same for some of its interfaces; the others stay as they are.
Result<std::vector<std::string>> detach_interfaces(const InstancePlace& place,
                                                   const std::vector<std::string>& interfaces,
                                                   const KernelPort& kernel = KernelPort());

// Interfaces are found by name at the time of each step, in the calling thread's network namespace. What is
// attached is pinned: it stays when the datapath is destroyed, or the process ends by whatever cause, and the
// next one with the same place goes on with it. A change that was cut short is taken back by open().
//
// Thread: open() and maps_named() before the loop runs; apply() and read_back() on one worker thread at a
// time. Sensors own duplicates of the map descriptors and may read on another thread meanwhile.
class XdpDatapath final : public Datapath {
  public:
    // Loads every program once for each interface, or takes up what is pinned; no interface needs to exist.
    // Fails where privileges or a BPF file system are missing, or somebody else owns the place. A program
    // that the kernel rejects does not fail the others: see rejected().
    static Result<std::unique_ptr<XdpDatapath>> open(DatapathOptions options,
                                                     const std::vector<ProgramSource>& programs,
                                                     const std::vector<std::string>& interfaces);

    ~XdpDatapath() override;

    // The programs that the kernel rejected, with the verifier's last words. Steps that name one fail with
    // them.
    const std::map<std::string, Error, std::less<>>& rejected() const { return rejected_; }

    // What open() found and did, for people: what it took up, took back, swept away, or could not have.
    const std::vector<std::string>& notes() const { return notes_; }

    // The map of this name on each interface whose programs have it, in the order of the interfaces. One into
    // which an old map is to be merged comes by its handoff when that was done, so that a counter is seen to
    // go on, and not to begin and jump. While a program is in the network card, its maps come by the handoff.
    Result<std::vector<InterfaceMap>> maps_named(std::string_view map);

    // Of an owned entry, the fields that were set are read back; an entry that vanished is absent. A guard
    // that a switch armed passes again, at the latest when the datapath is destroyed.
    ActualState read_back() override;

    // Fields of a value that a SetMapEntry does not name become 0. A per-CPU map gets the value on every CPU.
    // took_ns includes undoing; notes tell each fall down a ladder and the gap of each mode switch.
    Outcome apply(const Transaction& transaction) override;

    // As detach_instance(); the datapath is of no more use then.
    Result<void> detach_all();

  private:
    explicit XdpDatapath(DatapathOptions options) : options_(std::move(options)) {}
    Result<void> sweep(const std::vector<std::string>& interfaces);
    Result<ManagedInterface> open_interface(const std::string& name,
                                            const std::vector<ProgramSource>& programs);
    void hold_anchors();
    static void hand_to_readers(ManagedInterface& interface);
    ActualInterface read_back(ManagedInterface& interface) const;

    DatapathOptions options_;
    std::optional<Instance> instance_;
    std::optional<DeviceWatch> devices_;
    AttachMessages messages_;
    std::vector<ManagedInterface> interfaces_;
    Anchors anchors_;
    std::map<std::string, Error, std::less<>> rejected_;
    std::vector<std::string> notes_;
};

} // namespace homeostat::bpf

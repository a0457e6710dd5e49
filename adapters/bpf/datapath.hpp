// XDP programs on interfaces, through libbpf: the port to which Execute writes.
#pragma once

#include "adapters/bpf/interface_map.hpp"
#include "adapters/bpf/programs.hpp"
#include "adapters/bpf/xdp_link.hpp"
#include "engine/ports.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace homeostat::bpf {

// A program that is attached, but not one of ours, is read back under its kernel name with this prefix. It is
// left alone: every step that would have to touch it fails and says whose it is.
inline constexpr std::string_view foreign_prefix = "foreign:";

// Interfaces are found by name at the time of each step, in the calling thread's network namespace. Links are
// not pinned: destroying the datapath, or the end of the process by whatever cause, detaches our programs and
// drops their maps.
//
// Thread: open() and maps_named() before the loop runs; apply() and read_back() on one worker thread at a
// time. Sensors own duplicates of the map descriptors and may read on another thread meanwhile.
class XdpDatapath final : public Datapath {
  public:
    // Loads every program once for each interface; neither needs the interface to exist. Fails where
    // privileges are missing. A program that the kernel rejects does not fail the others: see rejected().
    static Result<std::unique_ptr<XdpDatapath>> open(const std::vector<ProgramSource>& programs,
                                                     const std::vector<std::string>& interfaces);

    // The programs that the kernel rejected, with the verifier's last words. Steps that name one fail with
    // them.
    const std::map<std::string, Error, std::less<>>& rejected() const { return rejected_; }

    // The map of this name on each interface whose programs have it, in the order of the interfaces.
    Result<std::vector<InterfaceMap>> maps_named(std::string_view map) const;

    // Of an owned entry, the fields that were set are read back; an entry that vanished is absent.
    ActualState read_back() override;

    // Fields of a value that a SetMapEntry does not name become 0. A per-CPU map gets the value on every CPU.
    // took_ns includes undoing; notes tell each fall down a ladder and the gap of each mode switch.
    Outcome apply(const Transaction& transaction) override;

  private:
    struct Attachment {
        XdpLink link;
        std::string program;
        XdpMode mode;
    };
    struct Interface {
        LoadedPrograms programs;
        std::optional<Attachment> attachment;
        std::map<MapEntry, MapValue> owned; // as they were set
    };
    class Change; // a transaction under way

    XdpDatapath() = default;
    static void drop_stale_link(Interface& interface, unsigned ifindex);
    static ActualInterface read_back(const std::string& name, Interface& interface);

    std::vector<std::pair<std::string, Interface>> interfaces_;
    std::map<std::string, Error, std::less<>> rejected_;
};

} // namespace homeostat::bpf

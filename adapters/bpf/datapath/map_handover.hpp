// Maps whose definition changed, when a program takes the place of another one: the new program has a map of
// its own from its first packet on; the old one's entries are merged into it, and its pin takes the old one's
// place. See StagedMap of programs.hpp and the pins in instance.hpp.
#pragma once

#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/datapath/undo.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "adapters/bpf/maps/map_migration.hpp"
#include "knowledge/error.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

// Within one transaction, each step of which is written down before it is made. Where it is taken back before
// the merge began, nothing is lost: the new map keeps what the new program counted, and waits. After that,
// the new map is thrown away, and with it what the new program counted since it was attached: how much of the
// old map is in it cannot be told, and sums must not be merged twice.
class MapHandover {
  public:
    using Note = std::function<Result<void>(Undo)>;

    // All that can be known before anything changes. `merger`: our map_merge.bpf.o.
    static Result<MapHandover> prepare(const KernelPort& kernel, ManagedInterface& interface,
                                       const std::string& merger);

    // When the new program is attached. Entries that are ours are not merged: the new map has them already.
    Result<void> run(const Note& note, std::vector<std::string>& notes);

  private:
    struct One {
        std::string map;
        std::optional<MapMigration> migration; // none: it starts anew
    };

    MapHandover(const KernelPort& kernel, ManagedInterface& interface)
        : kernel_(&kernel), interface_(&interface) {}
    Result<void> set_owned_aside(const std::string& map, const Note& note);
    Result<void> merge(One& one, const Note& note, std::vector<std::string>& notes);
    Result<void> take_place(const std::string& map, const Note& note);

    const KernelPort* kernel_;
    ManagedInterface* interface_;
    std::vector<One> maps_;
};

// After the old program is back: empties the maps that a merge spoiled, writes the entries that are ours, and
// pins them again, so that the next transaction may try anew. Where it fails, those maps stay spoiled.
Result<void> renew_spoiled_maps(const KernelPort& kernel, ManagedInterface& interface);

// After the transaction is whole: removes what nobody can want back, and gives the maps to those who wait for
// them. What cannot be removed now, remove_old_maps() will.
void finish_handover(const KernelPort& kernel, ManagedInterface& interface);

// What a transaction that is whole has left: the old maps, and before them the programs that work on them,
// all but those whose version is `wanted`. As long as an old map is pinned, the next call looks for them
// again.
void remove_old_maps(const KernelPort& kernel, const InterfacePins& pins,
                     const std::function<bool(std::string_view version)>& wanted);

} // namespace homeostat::bpf

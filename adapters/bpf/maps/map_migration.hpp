// Moving the entries of an old map into a new one that a new program writes already, without losing an
// update. The order is: prepare, replace the program, wait_for_running_programs, run; then nobody writes the
// old map while it is merged. The old map is only read. Where anything fails, the old program and its map are
// as they were, and the new map is to be thrown away.
#pragma once

#include "adapters/bpf/maps/map_comparison.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct bpf_object;

namespace homeostat::bpf {

// A per-CPU map's values are merged on their own CPU. Those of CPUs that are offline can be merged from any.
struct CpuLists {
    std::vector<unsigned> online;
    std::vector<unsigned> offline;
};
Result<CpuLists> read_cpus();
// As the kernel writes them: "0-3,5".
Result<std::vector<unsigned>> parse_cpu_list(std::string_view text);

struct MigrationReport {
    std::uint64_t entries = 0; // of the old map; all of them were merged
    std::uint64_t created = 0; // of these, the new map had none
    std::uint64_t newer = 0;   // Merge::newest: values that stand in the new map, each CPU's counted
    std::uint64_t evicted = 0; // an LRU map had no room, or a program deleted the entry; each CPU's counted
    std::int64_t took_ns = 0;

    bool operator==(const MigrationReport&) const = default;
};

// How much of `total` is done.
using MigrationProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Move-only; owns a program in the kernel that does the work, and its references to both maps.
class MapMigration {
  public:
    // All that can be known before anything changes: loads the program from the object file `merger` (our
    // map_merge.bpf.o), and fails where the kernel or a privilege lacks what it needs, where a map is not as
    // `plan` says, where its entries do not fit into the new one, and where the process may not run on one
    // of the CPUs. The descriptors may be closed afterwards. May block for some milliseconds.
    static Result<MapMigration> prepare(int from, int to, const MigrateMap& plan, const std::string& merger,
                                        const CpuLists& cpus);
    static Result<MapMigration> prepare(int from, int to, const MigrateMap& plan, const std::string& merger);

    // Blocks; works on a thread of its own, since that moves from CPU to CPU. `progress` is called on the
    // calling thread, ten times a second. Sums are merged once only. States may be merged any number of
    // times, and best also once before the program is replaced: the second time has little to do then. One
    // limit remains: where the new map's entry is the older one, a program that writes it in the same
    // nanoseconds may leave a value of both.
    Result<MigrationReport> run(const MigrationProgress& progress = {});

  private:
    struct CloseObject {
        void operator()(bpf_object* object) const;
    };

    MapMigration() = default;
    Result<void> load(int from, int to, const std::string& merger);
    Result<void> check_room();
    Result<void> run_all() const;

    MigrateMap plan_;
    CpuLists cpus_;
    std::unique_ptr<bpf_object, CloseObject> object_;
    std::uint64_t entries_ = 0; // of the old map, when they were counted
};

struct KernelFeatures {
    bool syscall_programs = false;   // 5.14
    bool for_each_map_elem = false;  // 5.13
    bool lookup_percpu_elem = false; // 5.19
};

// Why migration cannot be on a kernel of this release; "" where it can.
std::string migration_obstacle(const KernelFeatures& has, bool cpus_are_offline, std::string_view release);

} // namespace homeostat::bpf

// What our packet programs cost, in nanoseconds per packet, against a bare loop with the same map look-ups
// and helpers. Needs root; attaches nothing.
//
// Each figure is the median of rounds in which all variants take turns, so that a slow spell of the machine
// falls on all of them. The kernel tells whole nanoseconds, averaged over a run. The cost of an empty
// program, of XDP or of TC, is that of the test run itself; the second ratio is without it.
#include "bpf/records.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sched.h>
#include <string>
#include <vector>

namespace {

constexpr int rounds = 15;
constexpr int packets_per_round = 1'000'000;

// UDP over IPv4, 64 bytes.
constexpr std::array<std::uint8_t, 64> frame{2,    0, 0,  0,  0, 1, 2,  0,   0,  0,  0, 2, 8,  0,
                                             0x45, 0, 0,  50, 0, 0, 64, 0,   64, 17, 0, 0, 10, 77,
                                             0,    2, 10, 77, 0, 1, 19, 136, 0,  53, 0, 30};

[[noreturn]] void fail(const std::string& what) {
    std::perror(what.c_str());
    std::exit(1);
}

using Object = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

struct Variant {
    const char* name;
    std::string object;
    const char* program;
    rate_limit alarm{};
    rate_limit guard{};
    std::uint32_t sample_every = 0;
    int compared_with = -1; // index of a variant
    int empty = 0;          // of the variant that is a test run of this kind and nothing else

    Object loaded{nullptr, &bpf_object__close};
    std::vector<std::uint32_t> ns{};

    void set(const char* map_name, std::uint32_t key, const void* value) const {
        const int map = bpf_object__find_map_fd_by_name(loaded.get(), map_name);
        if (map >= 0 && bpf_map_update_elem(map, &key, value, BPF_ANY) != 0) fail(map_name);
    }

    void load() {
        loaded.reset(bpf_object__open(object.c_str()));
        if (!loaded || bpf_object__load(loaded.get()) != 0) fail("cannot load " + object);
        const guard_settings settings{sample_every};
        set("proto_limits", PROTO_UDP, &alarm);
        set("guard_limits", PROTO_UDP, &guard);
        set("guard_settings", 0, &settings);
    }

    void measure() {
        LIBBPF_OPTS(bpf_test_run_opts, options);
        options.data_in = frame.data();
        options.data_size_in = frame.size();
        options.repeat = packets_per_round;
        const bpf_program* found = bpf_object__find_program_by_name(loaded.get(), program);
        if (!found || bpf_prog_test_run_opts(bpf_program__fd(found), &options) != 0) fail(program);
        ns.push_back(options.duration);
    }

    double median() const {
        auto sorted = ns;
        std::ranges::sort(sorted);
        return sorted[sorted.size() / 2];
    }
};

std::vector<Variant> all_variants() {
    const std::string bare = BARE_LOOP_OBJECT;
    const std::string counter = BPF_OBJECT_FOLDER "/xdp_counter.bpf.o";
    const std::string guard = BPF_OBJECT_FOLDER "/xdp_guard.bpf.o";
    constexpr rate_limit none{}, wide{.pps = 200'000'000, .burst = 1'000'000},
        narrow{.pps = 1'000, .burst = 2'000};

    std::vector<Variant> variants;
    variants.push_back({"empty program", bare, "empty"});
    variants.push_back({"bare counter", bare, "bare_counter", none});
    variants.push_back({"bare counter, metered", bare, "bare_counter", wide});
    variants.push_back({"bare guard", bare, "bare_guard", none, none});
    variants.push_back({"bare guard, limited", bare, "bare_guard", none, wide});
    variants.push_back({"xdp_counter, no limit", counter, "xdp_counter", none, none, 0, 1});
    variants.push_back({"xdp_counter, within its limit", counter, "xdp_counter", wide, none, 0, 2});
    variants.push_back({"xdp_counter, beyond its limit", counter, "xdp_counter", narrow, none, 0, 2});
    variants.push_back({"xdp_guard, no limit", guard, "xdp_guard", none, none, 0, 3});
    variants.push_back({"xdp_guard, no limit, 1/1024 sampled", guard, "xdp_guard", none, none, 1024, 3});
    variants.push_back({"xdp_guard, within its limit", guard, "xdp_guard", none, wide, 0, 4});
    variants.push_back({"xdp_guard, dropping", guard, "xdp_guard", none, narrow, 0, 4});

    const auto tc = static_cast<int>(variants.size());
    variants.push_back({"empty TC program", bare, "empty_tc"});
    variants.push_back({"bare twin", bare, "bare_twin"});
    variants.push_back({"bare twin, limited", bare, "bare_twin", none, wide});
    variants.push_back({"tc_guard, no limit", guard, "tc_guard", none, none, 0, tc + 1});
    variants.push_back({"tc_guard, within its limit", guard, "tc_guard", none, wide, 0, tc + 2});
    variants.push_back({"tc_guard, dropping", guard, "tc_guard", none, narrow, 0, tc + 2});
    for (auto i = static_cast<std::size_t>(tc); i < variants.size(); ++i) variants[i].empty = tc;
    return variants;
}

void print(const std::vector<Variant>& variants) {
    std::printf("%-38s %6s %6s %6s %8s %12s\n", "ns per packet", "median", "least", "most", "ratio",
                "net of empty");
    for (const Variant& variant : variants) {
        const double empty = variants[static_cast<std::size_t>(variant.empty)].median();
        const auto [least, most] = std::ranges::minmax(variant.ns);
        std::printf("%-38s %6.0f %6u %6u", variant.name, variant.median(), least, most);
        if (variant.compared_with >= 0) {
            const double base = variants[static_cast<std::size_t>(variant.compared_with)].median();
            std::printf(" %8.2f %12.2f", variant.median() / base,
                        (variant.median() - empty) / (base - empty));
        }
        std::printf("\n");
    }
}

} // namespace

int main() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
    sched_setaffinity(0, sizeof one, &one);

    std::vector<Variant> variants = all_variants();
    for (Variant& variant : variants) variant.load();
    for (int round = 0; round < rounds; ++round)
        for (Variant& variant : variants) variant.measure();
    print(variants);
}

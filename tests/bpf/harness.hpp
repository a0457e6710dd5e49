// Runs packets through our programs in the kernel by BPF_PROG_TEST_RUN: nothing is attached anywhere.
#pragma once

#include "bpf/records.h"
#include "tests/bpf/frames.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace homeostat::bpf_test {

inline std::string object_path(const std::string& name) {
    return HOMEOSTAT_BINARY_DIR "/bpf/" + name + ".bpf.o";
}

// Why programs cannot be loaded here; "" where they can.
inline std::string reason_to_skip() {
    if (geteuid() != 0) return "needs root, to load BPF programs";
    const int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 4, 1, nullptr);
    if (map < 0) return std::string("this kernel refuses BPF maps: ") + std::strerror(errno);
    close(map);
    return "";
}

// Holds the thread on one CPU, so that per-CPU counts are exact.
class PinnedToOneCpu {
  public:
    PinnedToOneCpu() {
        sched_getaffinity(0, sizeof before_, &before_);
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
        sched_setaffinity(0, sizeof one, &one);
    }
    PinnedToOneCpu(const PinnedToOneCpu&) = delete;
    PinnedToOneCpu& operator=(const PinnedToOneCpu&) = delete;
    ~PinnedToOneCpu() { sched_setaffinity(0, sizeof before_, &before_); }

  private:
    cpu_set_t before_;
};

// A loaded object and fresh maps; of its programs, `functions` alone are loaded, by default the one that is
// named as the object. Throws what the tests cannot go on without.
class Program {
  public:
    explicit Program(const std::string& name, std::vector<std::string> functions = {})
        : object_(bpf_object__open(object_path(name).c_str())), functions_(std::move(functions)) {
        if (!object_) throw std::runtime_error("cannot open " + object_path(name));
        if (functions_.empty()) functions_.push_back(name);
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, object_.get()) {
            bpf_program__set_autoload(program,
                                      std::ranges::count(functions_, bpf_program__name(program)) != 0);
        }
        if (bpf_object__load(object_.get()) != 0)
            throw std::runtime_error("cannot load " + object_path(name) + ": " + std::strerror(errno));
    }

    // The return value of the first of the functions, of the last of `times` runs.
    std::uint32_t run(const Frame& frame, int times = 1) const {
        return run_function(functions_.front(), frame, times);
    }

    // `skb`, a __sk_buff: what a TC program is told of the packet beside its bytes.
    std::uint32_t run_function(const std::string& function, const Frame& frame, int times = 1,
                               const __sk_buff* skb = nullptr) const {
        LIBBPF_OPTS(bpf_test_run_opts, options);
        options.data_in = frame.data();
        options.data_size_in = static_cast<std::uint32_t>(frame.size());
        options.repeat = times;
        options.ctx_in = skb;
        options.ctx_size_in = skb != nullptr ? sizeof *skb : 0;
        if (bpf_prog_test_run_opts(descriptor(function), &options) != 0)
            throw std::runtime_error(std::string("BPF_PROG_TEST_RUN: ") + std::strerror(errno));
        return options.retval;
    }

    int descriptor(const std::string& function) const {
        const bpf_program* program = bpf_object__find_program_by_name(object_.get(), function.c_str());
        if (program == nullptr || bpf_program__fd(program) < 0)
            throw std::runtime_error("not loaded: " + function);
        return bpf_program__fd(program);
    }

    int map(const char* name) const {
        const int descriptor = bpf_object__find_map_fd_by_name(object_.get(), name);
        if (descriptor < 0) throw std::runtime_error(std::string("no map ") + name);
        return descriptor;
    }

    template <class Value> Value get(const char* name, std::uint32_t key) const {
        Value value{};
        if (bpf_map_lookup_elem(map(name), &key, &value) != 0) throw std::runtime_error(name);
        return value;
    }

    template <class Key, class Value> void set(const char* name, const Key& key, const Value& value) const {
        if (bpf_map_update_elem(map(name), &key, &value, BPF_ANY) != 0) throw std::runtime_error(name);
    }

    // A per-CPU struct of 64-bit counters, summed over CPUs.
    template <class Value> Value sum(const char* name, std::uint32_t key) const {
        static_assert(sizeof(Value) % sizeof(std::uint64_t) == 0);
        constexpr std::size_t counters = sizeof(Value) / sizeof(std::uint64_t);
        const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
        std::vector<std::uint64_t> all(cpus * counters);
        if (bpf_map_lookup_elem(map(name), &key, all.data()) != 0) throw std::runtime_error(name);
        std::uint64_t sums[counters]{};
        for (std::size_t i = 0; i < all.size(); ++i) sums[i % counters] += all[i];
        Value value;
        std::memcpy(&value, sums, sizeof value);
        return value;
    }

    // Takes all records out of a ring.
    template <class Record> std::vector<Record> drain(const char* name) const {
        std::vector<Record> records;
        const auto append = [](void* context, void* data, std::size_t size) {
            EXPECT_EQ(size, sizeof(Record));
            Record record;
            std::memcpy(&record, data, sizeof record);
            static_cast<std::vector<Record>*>(context)->push_back(record);
            return 0;
        };
        const std::unique_ptr<ring_buffer, decltype(&ring_buffer__free)> ring(
            ring_buffer__new(map(name), append, &records, nullptr), &ring_buffer__free);
        if (!ring) throw std::runtime_error(name);
        ring_buffer__consume(ring.get());
        return records;
    }

    std::vector<std::uint64_t> packets_by_class() const {
        std::vector<std::uint64_t> packets;
        for (std::uint32_t proto = 0; proto < PROTO_CLASS_COUNT; ++proto)
            packets.push_back(sum<proto_count>("proto_counters", proto).packets);
        return packets;
    }

    // What a map of guard_verdict_count has counted, verdicts and reasons together.
    std::vector<std::uint64_t> verdicts_by_class(const char* name) const {
        std::vector<std::uint64_t> packets;
        for (std::uint32_t proto = 0; proto < PROTO_CLASS_COUNT; ++proto) {
            const auto count = sum<guard_verdict_count>(name, proto);
            packets.push_back(count.passed + count.passed_contended + count.passed_unparsed +
                              count.dropped_rate_limit + count.dropped_blocked);
        }
        return packets;
    }

    bpf_object* object() const { return object_.get(); }

  private:
    struct Close {
        void operator()(bpf_object* object) const { bpf_object__close(object); }
    };
    std::unique_ptr<bpf_object, Close> object_;
    std::vector<std::string> functions_;
};

// For tests that run programs; skipped with the reason where that cannot be.
class KernelTest : public testing::Test {
  protected:
    void SetUp() override {
        if (const auto reason = reason_to_skip(); !reason.empty()) GTEST_SKIP() << reason;
    }

    PinnedToOneCpu pinned_;
};

} // namespace homeostat::bpf_test

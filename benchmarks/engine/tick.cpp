// A whole tick with 1,000 series and 100 policies: samples into the store, facts, a symptom and an adaptation
// for each policy. Beside it, the bare arithmetic of the same conditions over plain arrays, which is the
// limit: no labels, no store, no life cycle.
#include "engine/tick.hpp"
#include "engine/check.hpp"

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace homeostat {

namespace {

constexpr std::uint32_t series = 1'000;
constexpr std::uint32_t policies = 100;
constexpr std::uint32_t per_policy = series / policies;
constexpr Duration period{100};
constexpr Duration window{1'000};

std::string policy_text() {
    std::string text = "version = 1\n";
    for (std::uint32_t i = 0; i < policies; ++i) {
        const std::string n = std::to_string(i);
        text += "[[symptom]]\nname = \"s" + n + "\"\nraise = 'rate(packets_total{group=\"g" + n +
                "\"}[1s]) > 1M'\n" + "clear = 'max_over_time(packets_total{group=\"g" + n +
                "\"}[1s]) < 0'\n" + "[[adaptation]]\nname = \"a" + n + "\"\nwhen = \"s" + n +
                "\"\n[adaptation.set.interface.eth0]\nxdp.program = \"none\"\n";
    }
    return text;
}

constexpr std::string_view config_text = R"(
version = 1
[[interface]]
name = "eth0"
[[sensor]]
type = "bpf-map"
map = "m"
value = "packets_total"
)";

GenerationPtr make() {
    Diagnostics diagnostics;
    const auto config = read_config(config_text, "config", diagnostics);
    std::vector<PolicyDocument> documents;
    documents.push_back(read_policy(policy_text(), "policies", diagnostics));
    GenerationPtr generation =
        config ? make_generation(*config, std::move(documents), {}, 1, diagnostics) : nullptr;
    for (const Diagnostic& d : diagnostics) std::cerr << to_text(d) << "\n";
    if (!generation) std::exit(1);
    return generation;
}

SampleBatch define_all() {
    SampleBatch batch;
    for (std::uint32_t i = 0; i < series; ++i)
        batch.defined.push_back({i, Labels{{std::string(metric_name_label), "packets_total"},
                                           {"group", "g" + std::to_string(i / per_policy)},
                                           {"member", std::to_string(i % per_policy)}}});
    return batch;
}

// `raised`: so many of the policies see a rate above their threshold.
void whole_tick(benchmark::State& bench, std::uint32_t raised) {
    EngineState state(make());
    Inputs inputs;
    inputs.readings.batches.push_back(define_all());
    SampleBatch& batch = inputs.readings.batches.front();
    batch.samples.resize(series);
    inputs.now = at_ms(1'700'000'000'000);
    const auto turn = [&] {
        inputs.now += period;
        batch.time = inputs.now;
        for (std::uint32_t i = 0; i < series; ++i) {
            const double step = i / per_policy < raised ? 1e6 : 1e3;
            batch.samples[i] = {i, batch.samples[i].value + step};
        }
        benchmark::DoNotOptimize(tick(state, inputs));
        batch.defined.clear();
    };
    for (int i = 0; i < 20; ++i) turn(); // windows are full
    for (auto _ : bench) turn();
    bench.counters["ns_per_policy"] = benchmark::Counter(
        policies, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
    bench.counters["series"] = static_cast<double>(state.knowledge.series.size());
}

void quiet_tick(benchmark::State& bench) { whole_tick(bench, 0); }
void raised_tick(benchmark::State& bench) { whole_tick(bench, policies / 10); }

// The same rates and maxima of the same windows, each over its own array.
void bare_arithmetic(benchmark::State& bench) {
    constexpr std::size_t points = window / period;
    std::vector<std::vector<double>> values(series, std::vector<double>(points, 0));
    std::size_t place = 0;
    for (auto _ : bench) {
        int raised = 0;
        for (std::vector<double>& ring : values) {
            const double newest = ring[place] + 1e3;
            const double oldest = ring[(place + 1) % points];
            ring[(place + 1) % points] = newest;
            double resets = 0;
            double most = 0;
            for (std::size_t i = 1; i < points; ++i) {
                resets += ring[i] < ring[i - 1] ? ring[i - 1] : 0;
                most = std::max(most, ring[i]);
            }
            raised += (newest - oldest + resets) / 0.9 > 1e6 || most < 0 ? 1 : 0;
        }
        place = (place + 1) % points;
        benchmark::DoNotOptimize(raised);
    }
    bench.counters["ns_per_policy"] = benchmark::Counter(
        policies, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK(quiet_tick);
BENCHMARK(raised_tick);
BENCHMARK(bare_arithmetic);

} // namespace

} // namespace homeostat

BENCHMARK_MAIN();

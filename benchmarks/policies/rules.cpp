// Conditions as they are judged tick by tick: alert-like rules of one series each, one rule over many series,
// a recorded signal, and an expression of four variables beside muParser's evaluation of the same. Each turn
// appends one sample to every series, one second after the last; what is timed is the judging alone.
#include "policies/analyze.hpp"
#include "policies/promql/parser.hpp"

#include <benchmark/benchmark.h>
#include <muParser.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace homeostat {

namespace {

constexpr Duration step{1'000};
constexpr Duration window{30'000};
constexpr int turns_to_fill = 40;

// What other programs take of the processor does not count.
double processor_time_s() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

PolicySet policies_of(const std::string& toml) {
    Diagnostics diagnostics;
    std::vector<PolicyDocument> documents;
    documents.push_back(read_policy("version = 1\n" + toml, "policies", diagnostics));
    PolicySet policies = make_policy_set(std::move(documents), nullptr, diagnostics);
    for (const Diagnostic& d : diagnostics) std::cerr << to_text(d) << "\n";
    if (has_errors(diagnostics)) std::exit(1);
    return policies;
}

std::string alerts(std::int64_t count) {
    std::string toml;
    for (std::int64_t i = 0; i < count; ++i)
        toml += "[[symptom]]\nname = 's" + std::to_string(i) + "'\nraise = 'avg_over_time(x{i=\"" +
                std::to_string(i) + "\"}[30s]) > 100'\nfor = '10s'\n";
    return toml;
}

// A policy set over series x{i="0"}, x{i="1"}, …, turn by turn.
class Plant {
  public:
    // Every hundredth series is so large that its condition holds, where `raises`.
    Plant(const std::string& toml, std::int64_t series, bool raises)
        : policies_(policies_of(toml)), raises_(raises),
          knowledge_({.series_max = 1'000'000, .samples_per_series_max = 1'000}) {
        knowledge_.series.set_retention([](const Labels&) { return window; });
        limits_.memory = &memory_;
        limits_.instances_per_symptom_max = 100'000;
        limits_.evaluation.selectors = &memory_.selectors;
        for (std::int64_t i = 0; i < series; ++i)
            series_.push_back(*knowledge_.series.define(
                Labels{{std::string(metric_name_label), "x"}, {"i", std::to_string(i)}}));
        for (int i = 0; i < turns_to_fill; ++i) turn();
    }

    struct Took {
        double processor_s; // of this thread
        double wall_s;
    };

    // Returns how long the judging took.
    Took turn() {
        now_ += step;
        ++turns_;
        for (std::size_t i = 0; i < series_.size(); ++i) {
            const bool large = raises_ && i % 100 == 0;
            const auto noise = static_cast<double>((turns_ * 7 + i * 13) % 1000) / 17;
            knowledge_.series.append(series_[i], now_, large ? 1000 + noise : noise);
        }
        Decisions decisions;
        const auto wall = std::chrono::steady_clock::now();
        const double begin = processor_time_s();
        record_signals(policies_, knowledge_, now_, limits_, decisions);
        advance_symptoms(policies_, knowledge_, now_, true, limits_, decisions);
        const double took = processor_time_s() - begin;
        return {took, std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count()};
    }

  private:
    PolicySet policies_;
    bool raises_;
    Knowledge knowledge_;
    AnalyzeMemory memory_;
    AnalyzeLimits limits_;
    std::vector<SeriesId> series_;
    Instant now_ = at_ms(1'700'000'000'000);
    std::size_t turns_ = 0;
};

void judge(benchmark::State& bench, const std::string& toml, std::int64_t series, bool raises) {
    // A plant takes long to make, and is asked for several times.
    static std::map<std::string, Plant> plants;
    const std::string key = toml + std::to_string(series) + (raises ? "raises" : "");
    Plant& plant = plants.try_emplace(key, toml, series, raises).first->second;
    double wall_s = 0;
    double best_s = std::numeric_limits<double>::infinity();
    for (auto _ : bench) {
        const Plant::Took took = plant.turn();
        bench.SetIterationTime(took.processor_s);
        wall_s += took.wall_s;
        best_s = std::min(best_s, took.processor_s);
    }
    const auto turns = static_cast<double>(bench.iterations());
    const auto lanes = static_cast<double>(series);
    bench.counters["processor_ns_per_series"] = benchmark::Counter(
        lanes / 1e9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
    bench.counters["wall_ns_per_series"] = wall_s / turns / lanes * 1e9;
    bench.counters["best_ns_per_series"] = best_s / lanes * 1e9;
}

void quiet_alert_rules(benchmark::State& bench) {
    judge(bench, alerts(bench.range(0)), bench.range(0), false);
}

void alert_rules_with_one_in_a_hundred_raised(benchmark::State& bench) {
    judge(bench, alerts(bench.range(0)), bench.range(0), true);
}

void vector_rule(benchmark::State& bench) {
    judge(bench, "[[symptom]]\nname = 's'\nraise = 'avg_over_time(x[30s]) > 100'\nfor = '10s'\n",
          bench.range(0), false);
}

void recorded_signal(benchmark::State& bench) {
    judge(bench, "[[signal]]\nname = 'mean'\nexpr = 'avg_over_time(x[30s])'\n", bench.range(0), false);
}

BENCHMARK(quiet_alert_rules)->Arg(1'000)->Arg(10'000)->Arg(100'000)->UseManualTime();
BENCHMARK(alert_rules_with_one_in_a_hundred_raised)->Arg(10'000)->UseManualTime();
BENCHMARK(vector_rule)->Arg(10'000)->UseManualTime();
BENCHMARK(recorded_signal)->Arg(10'000)->UseManualTime();

// ---- four variables

constexpr std::array<const char*, 4> variables{"a", "b", "c", "d"};
constexpr const char* formula = "a * b + c / d";

void four_variables_in_lanes(benchmark::State& bench) {
    SeriesStore store({.series_max = 1'000'000, .samples_per_series_max = 100});
    const auto parsed = promql::parse(formula);
    std::vector<SeriesId> ids;
    for (std::int64_t lane = 0; lane < bench.range(0); ++lane)
        for (const char* name : variables)
            ids.push_back(*store.define(
                Labels{{std::string(metric_name_label), name}, {"lane", std::to_string(lane)}}));
    Instant now = at_ms(1'700'000'000'000);
    for (std::size_t i = 0; i < ids.size(); ++i) store.append(ids[i], now, static_cast<double>(i) + 1.5);
    promql::SelectorCache cache;
    promql::Lanes lanes(*promql::LaneProgram::compile(*parsed));
    promql::EvalOptions options;
    options.selectors = &cache;
    for (auto _ : bench) {
        now += Duration{1};
        if (now > at_ms(1'700'000'200'000)) now = at_ms(1'700'000'000'000);
        lanes.evaluate(store, now, options);
        if (!lanes.of(0).any_yes) std::exit(1);
    }
    bench.counters["ns_per_evaluation"] =
        benchmark::Counter(static_cast<double>(bench.range(0)) / 1e9,
                           benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void four_variables_in_muparser(benchmark::State& bench) {
    std::array<double, 4> values{1.5, 2.5, 3.5, 4.5};
    mu::Parser parser;
    for (std::size_t i = 0; i < values.size(); ++i) parser.DefineVar(variables[i], &values[i]);
    parser.SetExpr(formula);
    for (auto _ : bench) {
        values[0] += 1;
        benchmark::DoNotOptimize(parser.Eval());
    }
    bench.counters["ns_per_evaluation"] =
        benchmark::Counter(1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK(four_variables_in_muparser);
BENCHMARK(four_variables_in_lanes)->Arg(1)->Arg(1'000);

} // namespace

} // namespace homeostat

BENCHMARK_MAIN();

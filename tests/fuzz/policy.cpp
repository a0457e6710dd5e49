#include "engine/tick.hpp"
#include "policies/document.hpp"
#include "policies/policy_set.hpp"
#include "tests/fuzz/series.hpp"
#include "tests/fuzz/target.hpp"

#include <memory>
#include <utility>

namespace homeostat::fuzz {

namespace {

// The series of the metrics that policies of the corpus read, with values that rise and fall.
SampleBatch batch(Instant now, int turn) {
    SampleBatch made;
    made.time = now;
    const auto add = [&](Labels labels, double value) {
        const auto local = static_cast<std::uint32_t>(made.samples.size());
        if (turn == 0) made.defined.push_back({local, std::move(labels)});
        made.samples.push_back({local, value});
    };
    const bool high = turn % 3 == 1;
    for (const char* interface : {"eth0", "eth1"}) {
        add({{"__name__", "pps"}, {"iface", interface}}, high ? 1e6 : 0);
        add({{"__name__", "pps"}, {"iface", interface}, {"src", "10.0.0.1"}}, turn);
        add({{"__name__", "xdp_packets_total"}, {"iface", interface}, {"proto", "udp"}}, turn * 1e6);
        add({{"__name__", "xdp_over_limit"}, {"iface", interface}, {"proto", "udp"}}, high ? 1 : 0);
    }
    return made;
}

// Nothing that a policy says may stop the loop.
void turn_loop(PolicySet policies) {
    auto generation = std::make_shared<Generation>();
    generation->policies = std::move(policies);
    generation->programs = {"counter", "guard"};
    generation->sensors = {"sensor"};
    for (const char* interface : {"eth0", "eth1"})
        generation->baseline[interface] = {.program = "counter", .ladder = {XdpMode::drv}, .entries = {}};
    generation->limits.store = {.series_max = 1'000, .samples_per_series_max = 100};
    generation->limits.samples_per_evaluation_max = 20'000;
    generation->limits.work_per_evaluation_max = 20'000;
    generation->limits.instances_per_symptom_max = 10;
    EngineState state{generation};
    for (int turn = 0; turn < 4; ++turn) {
        Inputs inputs;
        inputs.now = first_instant + std::chrono::seconds{turn};
        inputs.readings.batches.push_back(batch(inputs.now, turn));
        if (turn == 0)
            for (const auto& [interface, desired] : generation->baseline) {
                inputs.observed[interface] = {};
                inputs.readings.links.push_back(
                    {.interface = interface, .present = true, .up = true, .index = 1});
            }
        tick(state, inputs);
    }
}

} // namespace

std::string policy(std::string_view bytes) {
    Diagnostics diagnostics;
    std::vector<PolicyDocument> documents{read_policy(bytes, "policy.toml", diagnostics)};
    const std::vector<PolicyDocument> same = documents;
    PolicySet policies = make_policy_set(std::move(documents), nullptr, diagnostics);
    const bool usable = !has_errors(diagnostics);
    const ProvidedMetrics provided{"pps", "xdp_packets_total", "xdp_over_limit"};
    make_policy_set(same, &provided, diagnostics);
    if (std::string wrong = places_outside(bytes, diagnostics); !wrong.empty()) return wrong;
    put_in_order(diagnostics);
    if (usable) turn_loop(std::move(policies));
    return "";
}

} // namespace homeostat::fuzz

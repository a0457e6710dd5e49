#include "tests/policies/lint/told.hpp"

#include "policies/lint/label_check.hpp"

#include <stdexcept>

namespace homeostat::test {

namespace {

promql::ResultLabels shape(std::map<std::string, promql::LabelRange> labels) {
    return {.labels = std::move(labels), .open = false};
}

promql::LabelRange one_of(std::set<std::string> values, bool also_numbers = false) {
    return {.always = true, .values = std::move(values), .also_numbers = also_numbers};
}

std::vector<std::string> lines_of(Diagnostics diagnostics) {
    put_in_order(diagnostics);
    std::vector<std::string> lines;
    for (Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic).substr(2));
    return lines;
}

} // namespace

promql::Schema small_schema() {
    using enum promql::MetricKind;
    const auto iface = one_of({"eth0", "eth1"});
    const auto proto = one_of({"tcp", "udp"}, true);
    return {{"packets_total", {.shapes = {shape({{"iface", iface}, {"proto", proto}})}, .kind = counter}},
            {"verdicts_total",
             {.shapes = {shape({{"iface", iface}, {"proto", proto}, {"verdict", one_of({"pass", "drop"})}})},
              .kind = counter}},
            {"over_limit", {.shapes = {shape({{"iface", iface}, {"proto", proto}})}, .kind = gauge}},
            {"link_up", {.shapes = {shape({{"iface", iface}})}, .kind = state}}};
}

PolicySet parsed(std::string_view toml) {
    Diagnostics diagnostics;
    std::vector<PolicyDocument> documents;
    documents.push_back(read_policy("version = 1\n" + std::string(toml), "p", diagnostics));
    PolicySet policies = make_policy_set(std::move(documents), nullptr, diagnostics);
    if (!diagnostics.empty()) throw std::invalid_argument(to_text(diagnostics.front()));
    return policies;
}

std::vector<std::string> labels_told(std::string_view toml, const promql::Schema& sensors) {
    const PolicySet policies = parsed(toml);
    Diagnostics diagnostics;
    check_labels(policies, with_policy_metrics(sensors, policies), diagnostics);
    return lines_of(std::move(diagnostics));
}

std::vector<std::string> lint_told(std::string_view toml, std::optional<Duration> period) {
    const PolicySet policies = parsed(toml);
    Diagnostics diagnostics;
    lint(policies,
         {.schema = with_policy_metrics(small_schema(), policies), .period = period, .is_whole = true},
         diagnostics);
    drop_allowed(policies, diagnostics);
    return lines_of(std::move(diagnostics));
}

std::string symptom(const std::string& raise, const std::string& more) {
    return "[[symptom]]\nname = 's'\nraise = '" + raise + "'\n" + more + "\n";
}

std::string used_symptom(const std::string& raise, const std::string& more) {
    return symptom(raise, more) + "[[adaptation]]\nname = 'a'\nwhen = 's'\n"
                                  "set.interface.eth0.xdp.program = 'guard'\n";
}

} // namespace homeostat::test

#include "adapters/cli/lab_account.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace homeostat::cli {

namespace json = boost::json;

namespace {

// At least this share of the flood must be dropped once the guard is in the kernel.
constexpr double dropped_share_min = 0.99;

std::optional<double> since_flood_ms(std::optional<std::int64_t> at_ns, const LabFigures& figures) {
    if (!at_ns || figures.flood.first_ns == 0) return std::nullopt;
    return static_cast<double>(*at_ns - figures.flood.first_ns) / 1e6;
}

std::optional<std::int64_t> mitigated_ns(const LabStory& story) {
    if (story.attached.size() < 2) return std::nullopt;
    return story.attached[1].since_ns;
}

std::optional<std::int64_t> restored_ns(const LabStory& story) {
    if (story.attached.size() < 3) return std::nullopt;
    return story.attached[2].since_ns;
}

std::optional<double> dropped_share(const LabFigures& figures) {
    if (!figures.mitigated) return std::nullopt;
    const auto sent = static_cast<double>(figures.flood.sent - figures.flood_at_mitigation.sent);
    const auto passed =
        static_cast<double>(figures.flood_passed.received - figures.passed_at_mitigation.received);
    if (sent <= 0) return std::nullopt;
    return 1 - passed / sent;
}

std::string milliseconds(std::optional<double> ms) {
    return ms ? fmt::format("{:9.1f} ms", *ms) : "        never";
}

std::string row(std::string_view kind, std::uint64_t sent, std::uint64_t passed, std::string_view note) {
    return fmt::format("  {:<12}{:>12}{:>12}{:>12}  {}\n", kind, sent, passed, sent - std::min(sent, passed),
                       note);
}

std::string text(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

std::string labels_text(const json::value& labels) {
    std::string result;
    for (const auto& [name, value] : labels.as_object())
        result += (result.empty() ? "" : ", ") + std::string(name) + "=" + std::string(value.as_string());
    return "{" + result + "}";
}

std::string receipt_text(const json::object& receipt) {
    std::string result = fmt::format(
        "  receipt {}: {} {}{}, when {}\n", receipt.at("receipt").to_number<int>(), text(receipt, "action"),
        text(receipt, "adaptation"), labels_text(receipt.at("labels")), text(receipt, "when"));
    for (const json::value& symptom : receipt.at("symptoms").as_array())
        for (const json::value& seen : symptom.at("seen").as_array())
            result += fmt::format("      saw {}{} = {:g}\n", text(seen.as_object(), "expression"),
                                  labels_text(seen.at("labels")),
                                  seen.at("value").is_number() ? seen.at("value").to_number<double>() : 0.0);
    for (const json::value& gate : receipt.at("gates").as_array())
        result +=
            fmt::format("      gate {}: {}{}\n", text(gate.as_object(), "gate"),
                        gate.at("open").as_bool() ? "open" : "closed, ", text(gate.as_object(), "detail"));
    return result;
}

} // namespace

std::vector<LabCheck> lab_checks(const LabStory& story, const LabFigures& figures) {
    const auto all_answered = [](const lab::TrafficCount& count) {
        return count.sent > 0 && count.received == count.sent && count.error.empty();
    };
    return {
        {"the symptom was raised by the flood", since_flood_ms(story.raised_ns, figures).value_or(-1) >= 0},
        {"the guard replaced the counter", figures.mitigated},
        {"at least 99 % of the flood was dropped from then on",
         dropped_share(figures).value_or(0) >= dropped_share_min},
        {"every ICMP message was answered", all_answered(figures.icmp)},
        {"every TCP message was answered", all_answered(figures.tcp)},
        {"the baseline came back after the flood", figures.restored},
        {"the controller ended well", figures.controller_exit == 0},
        {figures.kept ? "the lab is kept, as asked" : "nothing is left behind", figures.left_nothing}};
}

std::string account_text(const LabStory& story, const LabFigures& figures) {
    std::string result = "\nWhat happened, from the first packet of the flood on\n";
    result += fmt::format("  raised after    {}\n", milliseconds(since_flood_ms(story.raised_ns, figures)));
    result += fmt::format("  mitigated after {}   (the new program was in the kernel)\n",
                          milliseconds(since_flood_ms(mitigated_ns(story), figures)));
    result +=
        fmt::format("  flood ended at  {}\n", milliseconds(since_flood_ms(figures.flood.last_ns, figures)));
    result +=
        fmt::format("  baseline at     {}\n", milliseconds(since_flood_ms(restored_ns(story), figures)));

    result += fmt::format("\n  {:<12}{:>12}{:>12}{:>12}\n", "packets", "sent", "passed", "dropped");
    result += row("UDP flood", figures.flood.sent, figures.flood_passed.received, "");
    if (const auto share = dropped_share(figures))
        result += row("  mitigated", figures.flood.sent - figures.flood_at_mitigation.sent,
                      figures.flood_passed.received - figures.passed_at_mitigation.received,
                      fmt::format("{:.2f} % dropped", *share * 100));
    result += row("ICMP", figures.icmp.sent, figures.icmp.received, "echo requests, and answers");
    result += row("TCP", figures.tcp.sent, figures.tcp.received, "messages of one connection, and echoes");
    result += fmt::format(
        "\n  counted in the kernel: {:.0f} UDP, {:.0f} ICMP, {:.0f} TCP packets; {:.0f} UDP dropped\n",
        story.signal("counted_packets,proto=udp"), story.signal("counted_packets,proto=icmp"),
        story.signal("counted_packets,proto=tcp") + story.signal("counted_packets,proto=tcp_syn"),
        story.signal("dropped_packets,proto=udp,reason=rate_limit,verdict=drop"));

    result += "\nReceipts\n";
    for (const json::object& receipt : story.receipts) result += receipt_text(receipt);
    result += "\nChecks\n";
    for (const LabCheck& check : lab_checks(story, figures))
        result += fmt::format("  {}  {}\n", check.ok ? "ok    " : "FAILED", check.what);
    return result;
}

std::string account_json(const LabStory& story, const LabFigures& figures) {
    const auto count = [](const lab::TrafficCount& sent, const lab::TrafficCount& passed) {
        return json::object{{"sent", sent.sent}, {"passed", passed.received}};
    };
    const auto value = [](std::optional<double> number) {
        return number ? json::value(*number) : json::value();
    };
    json::array checks;
    for (const LabCheck& check : lab_checks(story, figures))
        checks.push_back({{"what", check.what}, {"ok", check.ok}});
    const json::object account{{"raised_after_ms", value(since_flood_ms(story.raised_ns, figures))},
                               {"mitigated_after_ms", value(since_flood_ms(mitigated_ns(story), figures))},
                               {"restored_after_ms", value(since_flood_ms(restored_ns(story), figures))},
                               {"dropped_share", value(dropped_share(figures))},
                               {"udp_flood", count(figures.flood, figures.flood_passed)},
                               {"icmp", count(figures.icmp, figures.icmp)},
                               {"tcp", count(figures.tcp, figures.tcp)},
                               {"receipts", json::array(story.receipts.begin(), story.receipts.end())},
                               {"checks", std::move(checks)}};
    return json::serialize(account);
}

} // namespace homeostat::cli

#include "tests/system/controller.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <stdexcept>
#include <unistd.h>
#include <utility>

namespace homeostat::system_test {

namespace json = boost::json;

std::string text_of(const Event& event, std::string_view key) {
    const json::value* value = event.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

namespace {

bool is(const Event& event, std::string_view key, std::string_view value) {
    return text_of(event, key) == value;
}

const json::object* xdp_of(const Event& outcome) {
    const json::value* xdp = outcome.if_contains("xdp");
    return xdp != nullptr ? xdp->if_object() : nullptr;
}

} // namespace

Wanted symptom_to(std::string state) {
    return [state = std::move(state)](const Event& event) {
        return is(event, "type", "symptom") && is(event, "to", state);
    };
}

Wanted receipt_of(std::string action) {
    return [action = std::move(action)](const Event& event) {
        return is(event, "type", "receipt") && is(event, "action", action);
    };
}

Wanted outcome_with(std::string program) {
    return [program = std::move(program)](const Event& event) {
        const json::object* xdp = xdp_of(event);
        return is(event, "type", "outcome") && event.at("ok") == true && xdp != nullptr &&
               is(*xdp, "program", program);
    };
}

Wanted failed_outcome() {
    return [](const Event& event) { return is(event, "type", "outcome") && event.at("ok") == false; };
}

std::map<std::string, double> signals_of(const Event& event) {
    std::map<std::string, double> values;
    if (!is(event, "type", "signals")) return values;
    for (const json::value& value : event.at("values").as_array()) {
        std::string labels;
        for (const auto& [label, text] : value.at("labels").as_object())
            if (label != "iface" && label != "verdict")
                labels +=
                    (labels.empty() ? "" : ",") + std::string(label) + "=" + std::string(text.as_string());
        const std::string name(value.at("signal").as_string());
        values[name + "{" + labels + "}"] =
            value.at("value").is_number() ? value.at("value").to_number<double>() : 0;
    }
    return values;
}

Wanted signals_have(std::map<std::string, double> values) {
    return [values = std::move(values)](const Event& event) {
        const auto told = signals_of(event);
        return std::ranges::all_of(values, [&](const auto& value) {
            const auto found = told.find(value.first);
            return found != told.end() && found->second == value.second;
        });
    };
}

Wanted signal_above(std::string name, double value) {
    return [name = std::move(name), value](const Event& event) {
        const auto told = signals_of(event);
        const auto found = told.find(name);
        return found != told.end() && found->second > value;
    };
}

std::uint32_t program_id_of(const Event& outcome) {
    const json::object* xdp = xdp_of(outcome);
    return xdp != nullptr ? xdp->at("id").to_number<std::uint32_t>() : 0;
}

Controller Controller::start(const lab::NetNamespace& in, const std::string& config,
                             std::vector<std::string> more) {
    std::vector<std::string> words{homeostat(), "run", "-c", config, "--json", "--signals", "200ms"};
    words.insert(words.end(), more.begin(), more.end());
    return Controller(Child::start(std::move(words), {.in = &in}));
}

const Event* Controller::next() {
    const auto line = child_.line();
    if (!line) return nullptr;
    return &events_.emplace_back(json::parse(*line).as_object());
}

const Event& Controller::await(const Wanted& wanted, const std::string& what) {
    // A controller that goes on talking without saying it is as bad as one that is silent.
    const auto end = std::chrono::steady_clock::now() + 2 * patience;
    while (const Event* event = next()) {
        if (wanted(*event)) return *event;
        if (std::chrono::steady_clock::now() > end) break;
    }
    throw std::runtime_error("waited in vain for " + what + "; the controller said\n" + log());
}

std::size_t Controller::count(const Wanted& wanted) const {
    return static_cast<std::size_t>(std::ranges::count_if(events_, wanted));
}

int Controller::stop(int number) {
    child_.signal(number);
    const int code = child_.wait();
    while (next() != nullptr) {
    }
    return code;
}

void InLab::SetUp() {
    if (const std::string reason = reason_to_skip(); !reason.empty()) GTEST_SKIP() << reason;
    static int count = 0;
    pins_.emplace(must(lab::BpfMount::create()));
    lab_.emplace(must(lab::Lab::create("hs" + std::to_string(::getpid()) + "-" + std::to_string(++count))));
}

Config InLab::placed(Config config) const {
    config.objects += "bpffs = \"" + bpffs() + "\"\nstate = \"" + folder_.path().string() + "/state\"\n";
    return config;
}

std::string InLab::files(const Config& config, const Policy& policy) const {
    folder_.write("policy.toml", policy.text());
    return folder_.write("config.toml", placed(config).text());
}

Controller InLab::start(const Config& config, const Policy& policy, std::vector<std::string> more) const {
    more.emplace_back("--detach-on-exit");
    return Controller::start(host(), files(config, policy), std::move(more));
}

Controller InLab::start_attached(const Config& config, const Policy& policy) const {
    Controller controller = start(config, policy);
    controller.await(outcome_with(config.program), "the baseline");
    return controller;
}

std::uint32_t InLab::attached_id() const {
    const auto program = attached();
    return program ? program->id : 0;
}

lab::Traffic InLab::flood(std::uint32_t packets_per_second, std::chrono::seconds time) const {
    return must(lab::flood_udp(peer(), {.packets_per_second = packets_per_second, .bounds = {.time = time}}));
}

void InLab::send(std::size_t udp, std::size_t tcp, std::size_t icmp) const {
    std::vector<lab::Frame> frames(udp, lab::udp_frame({}));
    frames.insert(frames.end(), tcp, lab::tcp_frame({}, lab::tcp_flags::ack));
    frames.insert(frames.end(), icmp, lab::icmp_echo_frame({}));
    must(lab::send_frames(peer(), "lab1", frames));
}

} // namespace homeostat::system_test

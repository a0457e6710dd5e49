#include "tests/system/files.hpp"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace homeostat::system_test {

namespace fs = std::filesystem;

std::string read_text(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw std::runtime_error("cannot read " + file.string());
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

Folder::Folder() {
    std::string pattern = (fs::temp_directory_path() / "homeostat-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
        throw std::system_error(errno, std::generic_category(), "mkdtemp " + pattern);
    path_ = pattern;
}

Folder::~Folder() {
    std::error_code error;
    fs::remove_all(path_, error);
}

std::string Folder::write(const std::string& name, std::string_view text) const {
    const fs::path file = path_ / name;
    std::ofstream stream(file, std::ios::binary | std::ios::trunc);
    stream << text;
    if (!stream.flush()) throw std::runtime_error("cannot write " + file.string());
    return file.string();
}

std::string Config::text() const {
    return R"(version = 1

[controller]
period   = ")" +
           period + R"("
policies = ["policy.toml"]
)" + objects +
           R"(
[[program]]
name   = "counter"
object = "xdp_counter.bpf.o"

[[program]]
name   = "guard"
object = "xdp_guard.bpf.o"
twin   = "tc_guard"

[[interface]]
name        = ")" +
           interface + "\"\nxdp.program = \"" + program + "\"\nxdp.mode    = " + mode + "\n" + maps + R"(

[[sensor]]
type   = "bpf-map"
map    = "proto_counters"
key    = { as = "proto", enum = "proto_class" }
fields = { packets = "xdp_packets_total" }

[[sensor]]
type = "bpf-map"
map  = "guard_verdicts"
key  = { as = "proto", enum = "proto_class" }
[sensor.fields]
passed             = { metric = "xdp_verdicts_total", labels = { verdict = "pass" } }
dropped_rate_limit = { metric = "xdp_verdicts_total", labels = { verdict = "drop" } }

[[sensor]]
type   = "bpf-ringbuf"
map    = "urgent_events"
record = "over_limit_event"
urgent = true
labels = { proto = "proto" }
fields = { over = "xdp_over_limit" }
valid  = "2s"

[[sensor]]
type = "rtnetlink"
)" + more;
}

std::string Policy::text() const {
    std::string symptom = R"(version = 1

[[signal]]
name = "counted"
expr = 'xdp_packets_total'

[[signal]]
name = "dropped"
expr = 'xdp_verdicts_total{verdict="drop"}'

[[signal]]
name = "udp_pps"
expr = 'rate(xdp_packets_total{proto="udp"}[1s])'

[[symptom]]
name     = "udp_flood"
raise    = ')" + raise + "'\nclear    = '" +
                          clear + "'\nkeep     = \"" + keep + R"("
severity = "critical"
summary  = "UDP flood on {{iface}}"

[check]
allow = ["unused-signal"]
)";
    if (!adapts) return symptom;
    return symptom + R"(
[[adaptation]]
name     = "guard-under-udp-flood"
when     = "udp_flood"
priority = 90
min_hold = ")" +
           min_hold + "\"\ncooldown = \"" + cooldown + "\"\nbudget   = \"" + budget + R"("

[adaptation.set.interface."{{iface}}"]
xdp.program           = "guard"
maps.guard_limits.udp = { pps = 100, burst = 100 }
)";
}

} // namespace homeostat::system_test

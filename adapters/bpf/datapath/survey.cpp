#include "adapters/bpf/datapath/survey.hpp"

#include "adapters/bpf/datapath/clsact.hpp"
#include "adapters/bpf/datapath/holdings.hpp"
#include "adapters/bpf/datapath/tc_link.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/read_text.hpp"

#include <net/if.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace homeostat::bpf {

namespace {

namespace fs = std::filesystem;

std::int64_t unix_ms_of_boot_ns(std::uint64_t boot_ns) {
    timespec wall{}, boot{};
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    const auto ms = [](const timespec& time) {
        return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
    };
    return ms(wall) - ms(boot) + static_cast<std::int64_t>(boot_ns / 1'000'000);
}

// What all interfaces are held against.
struct Host {
    std::string bpffs;
    std::string state;
    Ownership ownership;
};

std::string version_of(const Owner& owner, std::uint32_t id) {
    for (const std::string& pin : owner.pins)
        if (auto held = find_pinned(KernelPort(), fs::path(pin).parent_path() / "programs", id);
            !held.version.empty())
            return held.version;
    return {};
}

SurveyedProgram survey_program(const Host& host, std::string hook, std::uint32_t id, unsigned ifindex) {
    SurveyedProgram surveyed;
    surveyed.hook = std::move(hook);
    surveyed.id = id;
    const Descriptor program(bpf_prog_get_fd_by_id(id));
    if (const auto info = program ? info_of_program(program.get()) : failure("no program")) {
        surveyed.name = info->name;
        for (const unsigned char byte : info->tag) {
            std::array<char, 3> text{};
            std::snprintf(text.data(), text.size(), "%02x", byte);
            surveyed.tag += text.data();
        }
        surveyed.loaded_unix_ms = unix_ms_of_boot_ns(info->load_time);
        surveyed.run_count = info->run_cnt;
        surveyed.run_ns = info->run_time_ns;
    }
    surveyed.owner = host.ownership.of(id, surveyed.name, ifindex);
    if (surveyed.owner.kind == Owner::Kind::homeostat) surveyed.version = version_of(surveyed.owner, id);
    return surveyed;
}

// By the manifest of the instance that owns the program.
std::int64_t attached_since(const Host& host, const SurveyedProgram& program) {
    const auto manifest =
        manifest_of({.name = program.owner.instance, .bpffs = host.bpffs, .state = host.state});
    if (!manifest) return 0;
    const auto known = manifest->interfaces.find(program.owner.interface);
    if (known == manifest->interfaces.end()) return 0;
    if (program.hook.starts_with("xdp ")) return known->second.attached_unix_ms;
    if (program.version.empty()) return 0; // a guard
    for (const auto& [direction, unix_ms] : known->second.tc_attached_unix_ms)
        if (program.hook.ends_with(to_text(direction))) return unix_ms;
    return 0;
}

// A filter is nobody's: the instance whose place it is in owns it.
void own_filter(const Host& host, const Filter& filter, SurveyedProgram& program) {
    program.owner = {};
    program.owner.kind = Owner::Kind::netlink;
    for (const std::string& folder : files_in(host.bpffs)) {
        const InstancePlace place{
            .name = fs::path(folder).filename(), .bpffs = host.bpffs, .state = host.state};
        for (const std::string& interface : pinned_interfaces(place)) {
            const InterfacePins pins(place, interface);
            if (filter_of(pins, 0).handle != filter.handle) continue;
            program.owner.kind = Owner::Kind::homeostat;
            program.owner.instance = place.name;
            program.owner.interface = interface;
            program.version = find_pinned(KernelPort(), pins.programs(), program.id).version;
        }
    }
}

void add_filters(const Host& host, SurveyedInterface& surveyed, TcDirection direction) {
    std::vector<Filter> filters;
    KernelPort().query_filters(surveyed.ifindex, hook_of(direction), filters);
    for (const Filter& filter : filters) {
        if (filter.program_id == 0) continue;
        SurveyedProgram program = survey_program(host, "clsact " + std::string(to_text(direction)),
                                                 filter.program_id, surveyed.ifindex);
        own_filter(host, filter, program);
        surveyed.programs.push_back(std::move(program));
    }
}

// Where the device of an interface went for which something is pinned; "" where nobody knows.
std::string tell_where_it_went(const Host& host, const std::string& interface) {
    std::string told;
    for (const std::string& folder : files_in(host.bpffs)) {
        const InstancePlace place{
            .name = fs::path(folder).filename(), .bpffs = host.bpffs, .state = host.state};
        const auto held = find_holdings(KernelPort(), InterfacePins(place, interface), interface);
        if (!held) continue;
        for (const std::string& moved : tell_moved(*held, interface))
            told += "; instance " + place.name + ": " + moved;
    }
    return told;
}

Result<SurveyedInterface> survey_interface(const Host& host, const std::string& name) {
    SurveyedInterface surveyed{
        .name = name, .ifindex = ::if_nametoindex(name.c_str()), .up = is_up(name), .programs = {}};
    if (surveyed.ifindex == 0)
        return failure("there is no interface '" + name + "' in this network namespace" +
                           tell_where_it_went(host, name),
                       ENODEV);
    const auto shown = attached_programs(surveyed.ifindex);
    if (!shown) return failure(name + ": " + shown.error().what, shown.error().number);
    const auto add = [&](std::string hook, std::uint32_t id) {
        if (id != 0) surveyed.programs.push_back(survey_program(host, std::move(hook), id, surveyed.ifindex));
    };
    for (const auto& [id, mode] : *shown) add("xdp " + std::string(to_text(mode)), id);
    for (const TcDirection direction : tc_directions) {
        std::vector<std::uint32_t> programs;
        KernelPort().query_tcx(surveyed.ifindex, hook_of(direction),
                               programs); // a kernel without TCX has none
        for (const std::uint32_t id : programs) add("tcx " + std::string(to_text(direction)), id);
    }
    for (const TcDirection direction : tc_directions) add_filters(host, surveyed, direction);
    for (SurveyedProgram& program : surveyed.programs)
        if (program.owner.kind == Owner::Kind::homeostat)
            program.attached_unix_ms = attached_since(host, program);
    return surveyed;
}

} // namespace

Result<std::vector<SurveyedInterface>> survey_interfaces(const std::vector<std::string>& names,
                                                         const std::string& bpffs, const std::string& state) {
    std::vector<std::string> wanted = names;
    if (wanted.empty()) {
        struct if_nameindex* const all = ::if_nameindex();
        if (all == nullptr) return failure("ask for the interfaces: " + errno_text(errno), errno);
        for (const struct if_nameindex* one = all; one->if_index != 0; ++one)
            wanted.emplace_back(one->if_name);
        ::if_freenameindex(all);
    }
    const Host host{.bpffs = bpffs, .state = state, .ownership = Ownership::of_host(bpffs)};
    std::vector<SurveyedInterface> surveyed;
    for (const std::string& name : wanted) {
        auto interface = survey_interface(host, name);
        if (!interface) return std::unexpected(interface.error());
        surveyed.push_back(std::move(*interface));
    }
    return surveyed;
}

std::optional<bool> counts_runs() {
    const auto text = read_text("/proc/sys/kernel/bpf_stats_enabled");
    if (!text) return std::nullopt;
    return !text->starts_with('0');
}

const SurveyedProgram* xdp_that_counts(const SurveyedInterface& surveyed, std::string_view instance) {
    const SurveyedProgram* first = nullptr;
    for (const SurveyedProgram& program : surveyed.programs) {
        if (!program.hook.starts_with("xdp ")) continue;
        if (is_of(program, instance, surveyed.name)) return &program;
        if (first == nullptr) first = &program;
    }
    return first;
}

bool is_of(const SurveyedProgram& program, std::string_view instance, std::string_view interface) {
    return program.owner.kind == Owner::Kind::homeostat && program.owner.instance == instance &&
           program.owner.interface == interface;
}

} // namespace homeostat::bpf

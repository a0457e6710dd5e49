#include "adapters/bpf/datapath/survey.hpp"

#include "adapters/bpf/datapath/clsact.hpp"
#include "adapters/bpf/datapath/tc_link.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/bpf/kernel.hpp"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

namespace homeostat::bpf {

namespace {

namespace fs = std::filesystem;

struct Link {
    std::uint32_t id = 0;
    std::uint32_t program = 0;
    unsigned ifindex = 0;
};

// Those that hold a program on an interface. None where that may not be asked.
std::optional<std::vector<Link>> links_of_host() {
    std::vector<Link> links;
    for (std::uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) {
        const Descriptor link(bpf_link_get_fd_by_id(id));
        if (!link && link.get() == -EPERM) return std::nullopt;
        bpf_link_info info{};
        if (!link || KernelPort().link_info(link.get(), info) != 0) continue;
        // TCX's part of the union begins as that of XDP: with the ifindex.
        links.push_back({info.id, info.prog_id, info.xdp.ifindex});
    }
    return links;
}

// By an entry of /proc/PID/fd: one that was opened by its pin has another name than the one that made the
// link.
bool is_link_descriptor(const fs::path& entry) {
    std::error_code error;
    const std::string target = fs::read_symlink(entry, error);
    return target == "anon_inode:bpf_link" || target == "anon_inode:bpf-link";
}

// Paths below a BPF file system, by the id of the link that is pinned there.
std::multimap<std::uint32_t, std::string> pinned_links(const std::string& root) {
    std::multimap<std::uint32_t, std::string> pins;
    std::error_code error;
    const auto options = fs::directory_options::skip_permission_denied;
    for (auto entry = fs::recursive_directory_iterator(root, options, error);
         !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
        if (entry->is_directory(error)) continue;
        const Descriptor pinned(bpf_obj_get(entry->path().c_str()));
        bpf_link_info info{};
        const bool is_link = pinned && is_link_descriptor("/proc/self/fd/" + std::to_string(pinned.get()));
        if (is_link && KernelPort().link_info(pinned.get(), info) == 0) pins.emplace(info.id, entry->path());
    }
    return pins;
}

std::string first_line(const fs::path& file) {
    std::ifstream stream(file);
    std::string line;
    std::getline(stream, line);
    return line;
}

// "systemd (1)", by the id of the link that the process holds.
std::multimap<std::uint32_t, std::string> holders_of_links() {
    std::multimap<std::uint32_t, std::string> holders;
    for (const std::string& process : files_in("/proc")) {
        const std::string pid = process.substr(process.rfind('/') + 1);
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        for (const std::string& descriptor : files_in(process + "/fd")) {
            if (!is_link_descriptor(descriptor)) continue;
            std::ifstream info(process + "/fdinfo" + descriptor.substr(descriptor.rfind('/')));
            for (std::string line; std::getline(info, line);)
                if (line.starts_with("link_id:"))
                    holders.emplace(static_cast<std::uint32_t>(std::strtoul(line.c_str() + 8, nullptr, 10)),
                                    first_line(process + "/comm") + " (" + pid + ")");
        }
    }
    return holders;
}

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
    std::optional<std::vector<Link>> links;
    std::multimap<std::uint32_t, std::string> pins;
    std::multimap<std::uint32_t, std::string> holders;
};

// The link that holds the program there. A bare index may be that of a device in another network namespace,
// as of an anchor: a link that is pinned is believed before one that is not.
const Link* link_of(const Host& host, std::uint32_t program, unsigned ifindex) {
    const Link* found = nullptr;
    for (const Link& link : *host.links)
        if (link.program == program && link.ifindex == ifindex &&
            (found == nullptr || host.pins.contains(link.id)))
            found = &link;
    return found;
}

Owner owner_of(const Host& host, const SurveyedProgram& program, unsigned ifindex) {
    Owner owner;
    if (!host.links) return owner;
    owner.kind = Owner::Kind::netlink;
    if (const Link* link = link_of(host, program.id, ifindex)) {
        owner.kind = Owner::Kind::link;
        const auto [first, last] = host.pins.equal_range(link->id);
        for (auto pin = first; pin != last; ++pin) owner.pins.push_back(pin->second);
        std::set<std::string> processes;
        const auto [from, to] = host.holders.equal_range(link->id);
        for (auto holder = from; holder != to; ++holder) processes.insert(holder->second);
        owner.processes.assign(processes.begin(), processes.end());
        for (const std::string& pin : owner.pins) {
            if (!pin.starts_with(host.bpffs + "/")) continue;
            owner.kind = Owner::Kind::homeostat;
            owner.instance = pin.substr(host.bpffs.size() + 1);
            owner.instance = owner.instance.substr(0, owner.instance.find('/'));
        }
    }
    if (program.name == "xdp_dispatcher") owner.kind = Owner::Kind::dispatcher;
    return owner;
}

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
    surveyed.owner = owner_of(host, surveyed, ifindex);
    if (surveyed.owner.kind == Owner::Kind::homeostat) surveyed.version = version_of(surveyed.owner, id);
    return surveyed;
}

// By the manifest of the instance that owns the program.
std::int64_t attached_since(const Host& host, const SurveyedProgram& program, const std::string& interface) {
    const auto manifest =
        manifest_of({.name = program.owner.instance, .bpffs = host.bpffs, .state = host.state});
    if (!manifest) return 0;
    const auto known = manifest->interfaces.find(interface);
    if (known == manifest->interfaces.end()) return 0;
    if (program.hook.starts_with("xdp ")) return known->second.attached_unix_ms;
    if (program.version.empty()) return 0; // a guard
    for (const auto& [direction, unix_ms] : known->second.tc_attached_unix_ms)
        if (program.hook.ends_with(to_text(direction))) return unix_ms;
    return 0;
}

// A filter is nobody's: the instance whose place it is in owns it.
void own_filter(const Host& host, const std::string& interface, const Filter& filter,
                SurveyedProgram& program) {
    program.owner = {};
    program.owner.kind = Owner::Kind::netlink;
    for (const std::string& folder : files_in(host.bpffs)) {
        const std::string instance = fs::path(folder).filename();
        const InterfacePins pins({.name = instance, .bpffs = host.bpffs, .state = host.state}, interface);
        std::error_code error;
        if (filter_of(pins, 0).handle != filter.handle || !fs::exists(pins.folder(), error)) continue;
        program.owner.kind = Owner::Kind::homeostat;
        program.owner.instance = instance;
        program.version = find_pinned(KernelPort(), pins.programs(), program.id).version;
    }
}

void add_filters(const Host& host, SurveyedInterface& surveyed, TcDirection direction) {
    std::vector<Filter> filters;
    KernelPort().query_filters(surveyed.ifindex, hook_of(direction), filters);
    for (const Filter& filter : filters) {
        if (filter.program_id == 0) continue;
        SurveyedProgram program = survey_program(host, "clsact " + std::string(to_text(direction)),
                                                 filter.program_id, surveyed.ifindex);
        own_filter(host, surveyed.name, filter, program);
        surveyed.programs.push_back(std::move(program));
    }
}

Result<SurveyedInterface> survey_interface(const Host& host, const std::string& name) {
    SurveyedInterface surveyed{
        .name = name, .ifindex = ::if_nametoindex(name.c_str()), .up = is_up(name), .programs = {}};
    if (surveyed.ifindex == 0)
        return failure("there is no interface '" + name + "' in this network namespace", ENODEV);
    LIBBPF_OPTS(bpf_xdp_query_opts, shown);
    if (const int error = KernelPort().query_xdp(surveyed.ifindex, shown); error != 0)
        return failure("ask for the programs on " + name + ": " + errno_text(error), -error);
    const auto add = [&](std::string hook, std::uint32_t id) {
        if (id != 0) surveyed.programs.push_back(survey_program(host, std::move(hook), id, surveyed.ifindex));
    };
    add("xdp hw", shown.hw_prog_id);
    add("xdp drv", shown.drv_prog_id);
    add("xdp skb", shown.skb_prog_id);
    for (const TcDirection direction : tc_directions) {
        std::vector<std::uint32_t> programs;
        KernelPort().query_tcx(surveyed.ifindex, hook_of(direction),
                               programs); // a kernel without TCX has none
        for (const std::uint32_t id : programs) add("tcx " + std::string(to_text(direction)), id);
    }
    for (const TcDirection direction : tc_directions) add_filters(host, surveyed, direction);
    for (SurveyedProgram& program : surveyed.programs)
        if (program.owner.kind == Owner::Kind::homeostat)
            program.attached_unix_ms = attached_since(host, program, name);
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
    Host host{.bpffs = bpffs, .state = state, .links = links_of_host(), .pins = {}, .holders = {}};
    if (host.links) {
        host.pins = pinned_links("/sys/fs/bpf");
        if (!bpffs.starts_with("/sys/fs/bpf/")) host.pins.merge(pinned_links(bpffs));
        host.holders = holders_of_links();
    }
    std::vector<SurveyedInterface> surveyed;
    for (const std::string& name : wanted) {
        auto interface = survey_interface(host, name);
        if (!interface) return std::unexpected(interface.error());
        surveyed.push_back(std::move(*interface));
    }
    return surveyed;
}

} // namespace homeostat::bpf

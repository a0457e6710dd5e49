#include "adapters/bpf/datapath/owner.hpp"

#include "adapters/bpf/kernel_objects.hpp"
#include "knowledge/text.hpp"

#include <bpf/bpf.h>
#include <mntent.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

namespace homeostat::bpf {

namespace {

namespace fs = std::filesystem;

// By an entry of /proc/PID/fd: one that was opened by its pin has another name than the one that made the
// link.
bool is_link_descriptor(const fs::path& entry) {
    std::error_code error;
    const std::string target = fs::read_symlink(entry, error);
    return target == "anon_inode:bpf_link" || target == "anon_inode:bpf-link";
}

// The BPF file systems that are mounted in this process's mount namespace, each once: the same one may be
// mounted at several places.
std::vector<std::string> bpf_mounts() {
    struct CloseMounts {
        void operator()(FILE* mounts) const { ::endmntent(mounts); }
    };
    const std::unique_ptr<FILE, CloseMounts> mounts(::setmntent("/proc/self/mounts", "re"));
    std::vector<std::string> paths;
    std::set<dev_t> seen;
    mntent entry{};
    std::array<char, 4096> text{};
    while (mounts &&
           ::getmntent_r(mounts.get(), &entry, text.data(), static_cast<int>(text.size())) != nullptr) {
        struct stat root{};
        if (std::string_view(entry.mnt_type) != "bpf" || ::stat(entry.mnt_dir, &root) != 0) continue;
        if (seen.insert(root.st_dev).second) paths.emplace_back(entry.mnt_dir);
    }
    return paths;
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

// The instance in whose folder it is pinned; "" for none.
std::string instance_of(const std::string& pin, const std::string& bpffs) {
    for (const std::string& root : {bpffs, InstancePlace().bpffs}) {
        if (!pin.starts_with(root + "/")) continue;
        const std::string below = pin.substr(root.size() + 1);
        return below.substr(0, below.find('/'));
    }
    return {};
}

// Pinned as prog0-prog, prog1-prog, and so on.
std::vector<std::string> components_of(unsigned ifindex, std::uint32_t dispatcher) {
    std::vector<std::string> components;
    const std::string folder = dispatcher_folder(ifindex, dispatcher);
    for (int i = 0;; ++i) {
        const Descriptor program(bpf_obj_get((folder + "/prog" + std::to_string(i) + "-prog").c_str()));
        if (!program) return components;
        const std::uint32_t id = id_of_program(program.get());
        components.push_back(program_name(id) + " (id " + std::to_string(id) + ")");
    }
}

} // namespace

std::string to_text(const Owner& owner) {
    std::string text;
    switch (owner.kind) {
    case Owner::Kind::homeostat:
        text = "attached by instance " + owner.instance + " of homeostat";
        break;
    case Owner::Kind::dispatcher:
        text = "attached by libxdp";
        if (!owner.components.empty()) text += ", which runs " + joined(owner.components) + " by it";
        break;
    case Owner::Kind::link:
        text = "attached by link " + std::to_string(owner.link_id);
        break;
    case Owner::Kind::netlink:
        return "attached over netlink";
    case Owner::Kind::unknown:
        return "by whom takes CAP_SYS_ADMIN to ask";
    }
    if (!owner.processes.empty()) text += ", held by " + joined(owner.processes);
    if (!owner.pins.empty()) text += ", pinned at " + joined(owner.pins);
    return text;
}

std::string tell_renamed(const Owner& owner, const std::string& device) {
    if (owner.kind != Owner::Kind::homeostat || owner.interface == device) return {};
    const std::string option = owner.instance == InstancePlace().name ? "" : " --instance " + owner.instance;
    return "pinned by instance " + owner.instance + " for " + owner.interface + ", whose device is " +
           device + " now; 'homeostat detach " + device + option + "' takes it off";
}

std::string dispatcher_folder(unsigned ifindex, std::uint32_t program) {
    // As libxdp does.
    const char* const root = std::getenv("LIBXDP_BPFFS");
    return std::string(root != nullptr ? root : "/sys/fs/bpf") + "/xdp/dispatch-" + std::to_string(ifindex) +
           "-" + std::to_string(program);
}

Ownership Ownership::of_host(std::string bpffs) {
    Ownership host;
    host.bpffs_ = std::move(bpffs);
    std::vector<Link> links;
    int error = 0;
    for (std::uint32_t id = 0; (error = bpf_link_get_next_id(id, &id)) == 0;) {
        const Descriptor link(bpf_link_get_fd_by_id(id));
        if (!link && link.get() == -EPERM) return host;
        bpf_link_info info{};
        if (!link || KernelPort().link_info(link.get(), info) != 0) continue;
        // TCX's part of the union begins as that of XDP: with the ifindex.
        links.push_back({info.id, info.prog_id, info.xdp.ifindex});
    }
    if (error != -ENOENT) return host;
    host.links_ = std::move(links);
    for (const std::string& mount : bpf_mounts()) host.pins_.merge(pinned_links(mount));
    host.holders_ = holders_of_links();
    return host;
}

// A bare index may be that of a device in another network namespace, as of an anchor: a link that is pinned
// is believed before one that is not.
const Ownership::Link* Ownership::link_of(std::uint32_t program, unsigned ifindex) const {
    const Link* found = nullptr;
    for (const Link& link : *links_)
        if (link.program == program && link.ifindex == ifindex &&
            (found == nullptr || pins_.contains(link.id)))
            found = &link;
    return found;
}

Owner Ownership::of(std::uint32_t program, std::string_view name, unsigned ifindex) const {
    Owner owner;
    if (!links_) return owner;
    owner.kind = Owner::Kind::netlink;
    if (const Link* link = link_of(program, ifindex)) {
        owner.kind = Owner::Kind::link;
        owner.link_id = link->id;
        const auto [first, last] = pins_.equal_range(link->id);
        for (auto pin = first; pin != last; ++pin) owner.pins.push_back(pin->second);
        std::set<std::string> processes;
        const auto [from, to] = holders_.equal_range(link->id);
        for (auto holder = from; holder != to; ++holder) processes.insert(holder->second);
        owner.processes.assign(processes.begin(), processes.end());
        for (const std::string& pin : owner.pins) {
            const std::string instance = instance_of(pin, bpffs_);
            if (instance.empty()) continue;
            owner.kind = Owner::Kind::homeostat;
            owner.instance = instance;
            owner.interface = version_of_pin(fs::path(pin).parent_path());
        }
    }
    if (name == dispatcher_name) {
        owner.kind = Owner::Kind::dispatcher;
        owner.components = components_of(ifindex, program);
    }
    return owner;
}

} // namespace homeostat::bpf

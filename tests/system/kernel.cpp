#include "tests/system/kernel.hpp"

#include "tests/system/child.hpp"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <net/if.h>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

namespace homeostat::system_test {

namespace fs = std::filesystem;

std::string reason_to_skip() {
    if (::geteuid() != 0) return "needs root, to make network namespaces and load BPF programs";
    const lab::Descriptor map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 4, 1, nullptr));
    return map ? "" : std::string("this kernel refuses BPF maps: ") + std::strerror(errno);
}

std::optional<bpf::AttachedProgram> program_on(const lab::NetNamespace& in, const std::string& interface) {
    const auto entered = in.enter();
    if (!entered) throw std::runtime_error(entered.error().what);
    const unsigned index = ::if_nametoindex(interface.c_str());
    if (index == 0) throw std::runtime_error("no interface " + interface + " in " + in.name());
    const auto shown = bpf::attached_program(index);
    if (!shown) throw std::runtime_error(shown.error().what);
    return *shown;
}

Objects held_by(pid_t process) {
    Objects held;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(process) + "/fdinfo", error)) {
        std::ifstream file(entry.path());
        std::string key;
        std::string value;
        while (file >> key && std::getline(file, value)) {
            std::uint32_t id = 0;
            if (key != "prog_id:" && key != "map_id:" && key != "link_id:") continue;
            std::istringstream(value) >> id;
            (key == "prog_id:" ? held.programs : key == "map_id:" ? held.maps : held.links).insert(id);
        }
    }
    return held;
}

bool are_released(const Objects& objects) {
    const auto gone = [](const std::set<std::uint32_t>& ids, int (*open)(__u32)) {
        return std::ranges::none_of(ids, [&](std::uint32_t id) { return bool(lab::Descriptor(open(id))); });
    };
    return gone(objects.links, bpf_link_get_fd_by_id) && gone(objects.programs, bpf_prog_get_fd_by_id) &&
           gone(objects.maps, bpf_map_get_fd_by_id);
}

std::set<std::uint32_t> xdp_links(const Objects& objects) {
    std::set<std::uint32_t> links;
    for (const std::uint32_t id : objects.links) {
        const bpf::Descriptor link(bpf_link_get_fd_by_id(id));
        bpf_link_info info{};
        std::uint32_t size = sizeof info;
        if (link && bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 && info.type == BPF_LINK_TYPE_XDP)
            links.insert(id);
    }
    return links;
}

void detach_link(std::uint32_t id) {
    const bpf::Descriptor link(bpf_link_get_fd_by_id(id));
    if (!link || bpf_link_detach(link.get()) != 0)
        throw std::runtime_error("detach link " + std::to_string(id) + ": " + std::strerror(errno));
}

std::vector<pid_t> children_of(pid_t process) {
    std::vector<pid_t> children;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename();
        pid_t child = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), child).ec != std::errc{}) continue;
        std::ifstream file(entry.path() / "stat");
        std::string text;
        std::getline(file, text);
        // PID (NAME) STATE PARENT …, and the name may have anything in it.
        std::istringstream rest(text.substr(std::min(text.size(), text.rfind(')') + 1)));
        std::string state;
        pid_t parent = 0;
        if (rest >> state >> parent && parent == process) children.push_back(child);
    }
    return children;
}

std::set<std::string> pins() {
    std::set<std::string> found;
    std::error_code error;
    for (fs::recursive_directory_iterator it("/sys/fs/bpf", error), end; !error && it != end;
         it.increment(error))
        found.insert(it->path().string());
    return found;
}

bool eventually(const std::function<bool()>& is_so) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!is_so()) {
        if (std::chrono::steady_clock::now() > end) return false;
        ::poll(nullptr, 0, 10);
    }
    return true;
}

} // namespace homeostat::system_test

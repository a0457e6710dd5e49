// Whose a program on an interface is, as far as the kernel tells: links, their pins, the processes that hold
// them, and the folder in which libxdp pins what its dispatcher runs.
#pragma once

#include "adapters/bpf/datapath/instance.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace homeostat::bpf {

// The name of libxdp's dispatcher in the kernel.
inline constexpr std::string_view dispatcher_name = "xdp_dispatcher";

struct Owner {
    enum class Kind {
        homeostat,  // an instance of ours pins its link
        dispatcher, // libxdp's
        link,       // a bpf_link of somebody's
        netlink,    // as by `ip link`: nobody holds it
        unknown,    // to ask takes CAP_SYS_ADMIN
    };
    Kind kind = Kind::unknown;
    std::string instance;               // of homeostat
    std::string interface;              // for which homeostat pinned it: its device may have another name now
    std::uint32_t link_id = 0;          // 0 for none
    std::vector<std::string> pins;      // of the link
    std::vector<std::string> processes; // that hold the link: "systemd (1)"
    std::vector<std::string> components; // what libxdp's dispatcher runs, in order: "xdpfilt_dny_all (id 38)"
};

// For people: "attached by link 12, held by traffic (4711), pinned at /sys/fs/bpf/theirs".
std::string to_text(const Owner& owner);

// What a person does about a program that homeostat attached to this device when it had another name; ""
// where it is none: "pinned by instance default for v0, whose device is w0 now; 'homeostat detach w0' takes
// it off".
std::string tell_renamed(const Owner& owner, const std::string& device);

// All that programs are held against, as it was when this was made: a walk over the links of the host, its
// BPF file systems and /proc.
class Ownership {
  public:
    // `bpffs` is where our instances' pins are; those at the usual place are known besides. Pins of links are
    // looked for on every BPF file system that is mounted.
    static Ownership of_host(std::string bpffs);

    // Of the program with this id and name in the kernel, on the interface with this index.
    Owner of(std::uint32_t program, std::string_view name, unsigned ifindex) const;

  private:
    struct Link {
        std::uint32_t id = 0;
        std::uint32_t program = 0;
        unsigned ifindex = 0;
    };

    const Link* link_of(std::uint32_t program, unsigned ifindex) const;

    std::string bpffs_;
    std::optional<std::vector<Link>> links_; // none where that may not be asked
    std::multimap<std::uint32_t, std::string> pins_;
    std::multimap<std::uint32_t, std::string> holders_;
};

// The folder in which libxdp pins what the dispatcher with this program id runs on the interface.
std::string dispatcher_folder(unsigned ifindex, std::uint32_t program);

} // namespace homeostat::bpf

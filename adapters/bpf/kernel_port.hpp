// The calls by which a transaction changes the datapath, or asks what became of it, as a port: a test lets
// each of them fail in turn, or ends the process before it.
#pragma once

#include "adapters/bpf/descriptor.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

// Where a link holds a program.
enum class Hook { xdp_skb, xdp_drv, xdp_hw, tcx_ingress, tcx_egress };

// The kinds of calls, in the order of the methods below.
enum class KernelCall {
    create_link,
    update_link,
    detach_link,
    link_info,
    next_link,
    open_link,
    open_program,
    query_xdp,
    attach_xdp,
    replace_xdp,
    detach_xdp,
    query_tcx,
    make_clsact,
    remove_clsact,
    add_filter,
    remove_filter,
    find_filter,
    query_filters,
    pin,
    unpin,
    open_pin,
    rename_pin,
    read_entry,
    write_entry,
    delete_entry,
    next_key,
    wait_for_programs,
    begin_merge,
    write_file,
    append_file,
    remove_file,
};

std::string_view to_text(KernelCall call);

// A classifier on the clsact qdisc of an interface.
struct Filter {
    std::uint32_t priority = 0; // as tc prints it: pref
    std::uint32_t handle = 0;
    std::uint32_t program_id = 0; // 0 where it is no BPF program
    // Where it was listed. A classifier is listed before its filters, with the handle 0.
    std::string kind{}; // of classifier: "bpf", "u32"
    std::uint32_t chain = 0;
};

// Every method is one call to the kernel (or one request over netlink), and returns a descriptor or 0, or a
// negative errno. Stateless but for the intercept; thread-safe where that is.
class KernelPort {
  public:
    // Asked before each call: 0 lets it through, a negative errno is returned instead of it.
    using Intercept = std::function<int(KernelCall)>;

    explicit KernelPort(Intercept intercept = {}) : intercept_(std::move(intercept)) {}

    // A TCX link is put before all others, or right behind the link `behind`: -ENOENT where that is not
    // there.
    int create_link(int program, unsigned ifindex, Hook hook, int behind = -1) const;
    // -EPERM where the link's program is another than `old_program`; -1: whatever it is.
    int update_link(int link, int program, int old_program) const;
    int detach_link(int link) const;
    int link_info(int link, bpf_link_info& info) const;

    // By the kernel's numbers, which takes CAP_SYS_ADMIN. `id` becomes the next one; -ENOENT after the last.
    int next_link(std::uint32_t& id) const;
    int open_link(std::uint32_t id) const;
    int open_program(std::uint32_t id) const;

    int query_xdp(unsigned ifindex, bpf_xdp_query_opts& shown) const;
    // Without a link, over netlink: -EBUSY where a link is there.
    int attach_xdp(unsigned ifindex, Hook hook, int program) const; // -EBUSY or -EEXIST where one is there
    int replace_xdp(unsigned ifindex, Hook hook, int program, int old_program) const; // -EEXIST: another is
    int detach_xdp(unsigned ifindex, Hook hook, int program) const;                   // -EEXIST: another is
    // The ids of the programs, in the order in which they run.
    int query_tcx(unsigned ifindex, Hook hook, std::vector<std::uint32_t>& programs) const;

    int make_clsact(unsigned ifindex) const;   // -EEXIST where it is there, or a qdisc in its place
    int remove_clsact(unsigned ifindex) const; // with all filters of it
    // Of the clsact qdisc.
    int add_filter(unsigned ifindex, Hook hook, const Filter& filter, int program) const; // or replaces it
    int remove_filter(unsigned ifindex, Hook hook, const Filter& filter) const;
    int find_filter(unsigned ifindex, Hook hook, Filter& filter) const; // by priority and handle
    // All of them, in the order in which they run; none where there is no such qdisc.
    int query_filters(unsigned ifindex, Hook hook, std::vector<Filter>& filters) const;

    int pin(int descriptor, const std::string& path) const;
    int unpin(const std::string& path) const;
    int open_pin(const std::string& path) const;
    int rename_pin(const std::string& from, const std::string& to) const; // whoever is at `to` goes

    int read_entry(int map, const void* key, void* value) const;
    int write_entry(int map, const void* key, const void* value) const;
    int delete_entry(int map, const void* key) const;
    // After `key`, or the first one where it is nullptr; -ENOENT: there is none.
    int next_key(int map, const void* key, void* next) const;

    int wait_for_programs() const; // see grace_period.hpp
    int begin_merge() const;       // 0: MapMigration::run(), which is many calls, may begin

    // Whole or not at all, whatever ends the process.
    int write_file(const std::string& path, std::string_view content) const;
    // A line; only its beginning may be there where the process ended meanwhile.
    int append_file(const std::string& path, std::string_view line) const;
    int remove_file(const std::string& path) const; // 0 also where there is none

  private:
    int ask(KernelCall call) const { return intercept_ ? intercept_(call) : 0; }
    Intercept intercept_;
};

} // namespace homeostat::bpf

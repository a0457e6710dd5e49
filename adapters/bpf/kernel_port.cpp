#include "adapters/bpf/kernel_port.hpp"

#include "adapters/bpf/filter_list.hpp"
#include "adapters/bpf/grace_period.hpp"
#include "adapters/bpf/libbpf_log.hpp"

#include <linux/if_link.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace homeostat::bpf {

namespace {

// libbpf 1.1 has no names for these: <linux/bpf.h> of Linux 6.6.
constexpr auto tcx_ingress = static_cast<bpf_attach_type>(46);
constexpr auto tcx_egress = static_cast<bpf_attach_type>(47);
constexpr std::uint32_t before_all = 1U << 3; // BPF_F_BEFORE, without another program to be before
constexpr std::uint32_t behind_link = (1U << 4) | (1U << 13); // BPF_F_AFTER | BPF_F_LINK

bpf_attach_type attach_type(Hook hook) {
    return hook == Hook::tcx_ingress ? tcx_ingress : hook == Hook::tcx_egress ? tcx_egress : BPF_XDP;
}

std::uint32_t link_flags(Hook hook) {
    switch (hook) {
    case Hook::xdp_skb:
        return XDP_FLAGS_SKB_MODE;
    case Hook::xdp_drv:
        return XDP_FLAGS_DRV_MODE;
    case Hook::xdp_hw:
        return XDP_FLAGS_HW_MODE;
    case Hook::tcx_ingress:
    case Hook::tcx_egress:
        return before_all;
    }
    return 0;
}

bpf_tc_hook clsact(unsigned ifindex, Hook hook) {
    bpf_tc_hook tc{};
    tc.sz = sizeof tc;
    tc.ifindex = static_cast<int>(ifindex);
    tc.attach_point = hook == Hook::tcx_egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
    return tc;
}

int write_all(int file, std::string_view content) {
    while (!content.empty()) {
        const ssize_t written = ::write(file, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return -errno;
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    return 0;
}

int write_to(const std::string& path, int flags, std::string_view content) {
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600));
    return file ? write_all(file.get(), content) : -errno;
}

} // namespace

std::string_view to_text(KernelCall call) {
    static constexpr std::array names{std::string_view("create_link"),
                                      std::string_view("update_link"),
                                      std::string_view("detach_link"),
                                      std::string_view("link_info"),
                                      std::string_view("next_link"),
                                      std::string_view("open_link"),
                                      std::string_view("open_program"),
                                      std::string_view("query_xdp"),
                                      std::string_view("attach_xdp"),
                                      std::string_view("replace_xdp"),
                                      std::string_view("detach_xdp"),
                                      std::string_view("query_tcx"),
                                      std::string_view("make_clsact"),
                                      std::string_view("remove_clsact"),
                                      std::string_view("add_filter"),
                                      std::string_view("remove_filter"),
                                      std::string_view("find_filter"),
                                      std::string_view("query_filters"),
                                      std::string_view("pin"),
                                      std::string_view("unpin"),
                                      std::string_view("open_pin"),
                                      std::string_view("rename_pin"),
                                      std::string_view("read_entry"),
                                      std::string_view("write_entry"),
                                      std::string_view("delete_entry"),
                                      std::string_view("next_key"),
                                      std::string_view("wait_for_programs"),
                                      std::string_view("begin_merge"),
                                      std::string_view("write_file"),
                                      std::string_view("append_file"),
                                      std::string_view("remove_file")};
    static_assert(names.size() == static_cast<std::size_t>(KernelCall::remove_file) + 1);
    return names[static_cast<std::size_t>(call)];
}

int KernelPort::create_link(int program, unsigned ifindex, Hook hook, int behind) const {
    if (const int refused = ask(KernelCall::create_link)) return refused;
    LIBBPF_OPTS(bpf_link_create_opts, options);
    options.flags = link_flags(hook);
    if (behind >= 0) {
        options.flags = behind_link;
        options.target_btf_id = static_cast<std::uint32_t>(behind); // in the place of tcx.relative_fd
    }
    return bpf_link_create(program, static_cast<int>(ifindex), attach_type(hook), &options);
}

int KernelPort::update_link(int link, int program, int old_program) const {
    if (const int refused = ask(KernelCall::update_link)) return refused;
    LIBBPF_OPTS(bpf_link_update_opts, options);
    if (old_program >= 0) {
        options.flags = BPF_F_REPLACE;
        options.old_prog_fd = static_cast<std::uint32_t>(old_program);
    }
    return bpf_link_update(link, program, &options);
}

int KernelPort::detach_link(int link) const {
    if (const int refused = ask(KernelCall::detach_link)) return refused;
    return bpf_link_detach(link);
}

int KernelPort::link_info(int link, bpf_link_info& info) const {
    if (const int refused = ask(KernelCall::link_info)) return refused;
    std::uint32_t size = sizeof info;
    return bpf_obj_get_info_by_fd(link, &info, &size);
}

int KernelPort::next_link(std::uint32_t& id) const {
    if (const int refused = ask(KernelCall::next_link)) return refused;
    return bpf_link_get_next_id(id, &id);
}

int KernelPort::open_link(std::uint32_t id) const {
    if (const int refused = ask(KernelCall::open_link)) return refused;
    return bpf_link_get_fd_by_id(id);
}

int KernelPort::open_program(std::uint32_t id) const {
    if (const int refused = ask(KernelCall::open_program)) return refused;
    return bpf_prog_get_fd_by_id(id);
}

int KernelPort::attach_xdp(unsigned ifindex, Hook hook, int program) const {
    if (const int refused = ask(KernelCall::attach_xdp)) return refused;
    return bpf_xdp_attach(static_cast<int>(ifindex), program, link_flags(hook) | XDP_FLAGS_UPDATE_IF_NOEXIST,
                          nullptr);
}

int KernelPort::replace_xdp(unsigned ifindex, Hook hook, int program, int old_program) const {
    if (const int refused = ask(KernelCall::replace_xdp)) return refused;
    LIBBPF_OPTS(bpf_xdp_attach_opts, options);
    options.old_prog_fd = old_program; // which sets XDP_FLAGS_REPLACE
    return bpf_xdp_attach(static_cast<int>(ifindex), program, link_flags(hook), &options);
}

int KernelPort::detach_xdp(unsigned ifindex, Hook hook, int program) const {
    if (const int refused = ask(KernelCall::detach_xdp)) return refused;
    LIBBPF_OPTS(bpf_xdp_attach_opts, options);
    options.old_prog_fd = program;
    return bpf_xdp_detach(static_cast<int>(ifindex), link_flags(hook), &options);
}

int KernelPort::query_xdp(unsigned ifindex, bpf_xdp_query_opts& shown) const {
    if (const int refused = ask(KernelCall::query_xdp)) return refused;
    return bpf_xdp_query(static_cast<int>(ifindex), 0, &shown);
}

int KernelPort::query_tcx(unsigned ifindex, Hook hook, std::vector<std::uint32_t>& programs) const {
    if (const int refused = ask(KernelCall::query_tcx)) return refused;
    programs.resize(64); // as many as the kernel takes
    LIBBPF_OPTS(bpf_prog_query_opts, options);
    options.prog_ids = programs.data();
    options.prog_cnt = static_cast<std::uint32_t>(programs.size());
    const int error = bpf_prog_query_opts(static_cast<int>(ifindex), attach_type(hook), &options);
    programs.resize(error == 0 ? options.prog_cnt : 0);
    return error;
}

int KernelPort::make_clsact(unsigned ifindex) const {
    if (const int refused = ask(KernelCall::make_clsact)) return refused;
    const LogCapture quiet;
    bpf_tc_hook tc = clsact(ifindex, Hook::tcx_ingress);
    return bpf_tc_hook_create(&tc);
}

int KernelPort::remove_clsact(unsigned ifindex) const {
    if (const int refused = ask(KernelCall::remove_clsact)) return refused;
    const LogCapture quiet;
    bpf_tc_hook tc = clsact(ifindex, Hook::tcx_ingress);
    tc.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
    return bpf_tc_hook_destroy(&tc);
}

int KernelPort::add_filter(unsigned ifindex, Hook hook, const Filter& filter, int program) const {
    if (const int refused = ask(KernelCall::add_filter)) return refused;
    const LogCapture quiet;
    const bpf_tc_hook tc = clsact(ifindex, hook);
    LIBBPF_OPTS(bpf_tc_opts, options);
    options.priority = filter.priority;
    options.handle = filter.handle;
    options.prog_fd = program;
    options.flags = BPF_TC_F_REPLACE;
    return bpf_tc_attach(&tc, &options);
}

int KernelPort::remove_filter(unsigned ifindex, Hook hook, const Filter& filter) const {
    if (const int refused = ask(KernelCall::remove_filter)) return refused;
    const LogCapture quiet;
    const bpf_tc_hook tc = clsact(ifindex, hook);
    LIBBPF_OPTS(bpf_tc_opts, options);
    options.priority = filter.priority;
    options.handle = filter.handle;
    return bpf_tc_detach(&tc, &options);
}

int KernelPort::find_filter(unsigned ifindex, Hook hook, Filter& filter) const {
    if (const int refused = ask(KernelCall::find_filter)) return refused;
    const LogCapture quiet;
    const bpf_tc_hook tc = clsact(ifindex, hook);
    LIBBPF_OPTS(bpf_tc_opts, options);
    options.priority = filter.priority;
    options.handle = filter.handle;
    const int error = bpf_tc_query(&tc, &options);
    filter.program_id = error == 0 ? options.prog_id : 0;
    return error;
}

int KernelPort::query_filters(unsigned ifindex, Hook hook, std::vector<Filter>& filters) const {
    filters.clear();
    if (const int refused = ask(KernelCall::query_filters)) return refused;
    return list_filters(ifindex, hook == Hook::tcx_egress, filters);
}

int KernelPort::pin(int descriptor, const std::string& path) const {
    if (const int refused = ask(KernelCall::pin)) return refused;
    return bpf_obj_pin(descriptor, path.c_str());
}

int KernelPort::unpin(const std::string& path) const {
    if (const int refused = ask(KernelCall::unpin)) return refused;
    return ::unlink(path.c_str()) == 0 ? 0 : -errno;
}

int KernelPort::open_pin(const std::string& path) const {
    if (const int refused = ask(KernelCall::open_pin)) return refused;
    return bpf_obj_get(path.c_str());
}

int KernelPort::rename_pin(const std::string& from, const std::string& to) const {
    if (const int refused = ask(KernelCall::rename_pin)) return refused;
    return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : -errno;
}

int KernelPort::read_entry(int map, const void* key, void* value) const {
    if (const int refused = ask(KernelCall::read_entry)) return refused;
    return bpf_map_lookup_elem(map, key, value);
}

int KernelPort::write_entry(int map, const void* key, const void* value) const {
    if (const int refused = ask(KernelCall::write_entry)) return refused;
    return bpf_map_update_elem(map, key, value, BPF_ANY);
}

int KernelPort::delete_entry(int map, const void* key) const {
    if (const int refused = ask(KernelCall::delete_entry)) return refused;
    return bpf_map_delete_elem(map, key);
}

int KernelPort::next_key(int map, const void* key, void* next) const {
    if (const int refused = ask(KernelCall::next_key)) return refused;
    return bpf_map_get_next_key(map, key, next);
}

int KernelPort::wait_for_programs() const {
    if (const int refused = ask(KernelCall::wait_for_programs)) return refused;
    const auto waited = wait_for_running_programs();
    return waited ? 0 : waited.error().number != 0 ? -waited.error().number : -EIO;
}

int KernelPort::begin_merge() const { return ask(KernelCall::begin_merge); }

int KernelPort::write_file(const std::string& path, std::string_view content) const {
    if (const int refused = ask(KernelCall::write_file)) return refused;
    const std::string unfinished = path + ".new";
    if (const int error = write_to(unfinished, O_TRUNC, content)) return error;
    return std::rename(unfinished.c_str(), path.c_str()) == 0 ? 0 : -errno;
}

int KernelPort::append_file(const std::string& path, std::string_view line) const {
    if (const int refused = ask(KernelCall::append_file)) return refused;
    return write_to(path, O_APPEND, std::string(line) + '\n');
}

int KernelPort::remove_file(const std::string& path) const {
    if (const int refused = ask(KernelCall::remove_file)) return refused;
    return ::unlink(path.c_str()) == 0 || errno == ENOENT ? 0 : -errno;
}

} // namespace homeostat::bpf

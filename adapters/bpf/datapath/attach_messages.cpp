#include "adapters/bpf/datapath/attach_messages.hpp"

#include "adapters/bpf/kernel.hpp"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace homeostat::bpf {

namespace {

constexpr std::size_t text_bytes_max = 4'096; // a page, so that it can be mapped
constexpr std::int32_t message_bytes_max = 256;

template <int to, int from> constexpr bpf_insn move() {
    return {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from, .off = 0, .imm = 0};
}
template <int to> constexpr bpf_insn set(std::int32_t number) {
    return {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = to, .src_reg = 0, .off = 0, .imm = number};
}
constexpr bpf_insn call(bpf_func_id helper) {
    return {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = helper};
}
// The first of two that load 64 bits, and the second.
template <int to, int kind = 0> constexpr bpf_insn load_low(std::uint64_t number) {
    return {.code = BPF_LD | BPF_DW | BPF_IMM,
            .dst_reg = to,
            .src_reg = kind,
            .off = 0,
            .imm = static_cast<std::int32_t>(number)};
}
constexpr bpf_insn load_high(std::uint64_t number) {
    return {.code = 0, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = static_cast<std::int32_t>(number >> 32)};
}

// Copies the tracepoint's argument into the map where this process is the one that asked. Process ids are
// those of its own PID namespace.
Result<Descriptor> load_listener(int map) {
    struct stat space{};
    if (::stat("/proc/self/ns/pid", &space) != 0)
        return failure("stat /proc/self/ns/pid: " + errno_text(errno), errno);
    constexpr std::int16_t ids = -8; // on the stack: struct bpf_pidns_info, pid and tgid
    const std::array program{
        move<6, 1>(),
        load_low<1>(space.st_dev),
        load_high(space.st_dev),
        load_low<2>(space.st_ino),
        load_high(space.st_ino),
        move<3, 10>(),
        bpf_insn{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .src_reg = 0, .off = 0, .imm = ids},
        set<4>(sizeof(bpf_pidns_info)),
        call(BPF_FUNC_get_ns_current_pid_tgid),
        bpf_insn{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 7, .imm = 0},
        bpf_insn{.code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = 1, .src_reg = 10, .off = ids + 4, .imm = 0},
        bpf_insn{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 1, .src_reg = 0, .off = 5, .imm = ::getpid()},
        load_low<1, BPF_PSEUDO_MAP_VALUE>(static_cast<std::uint32_t>(map)),
        load_high(0),
        set<2>(message_bytes_max),
        bpf_insn{.code = BPF_LDX | BPF_DW | BPF_MEM, .dst_reg = 3, .src_reg = 6, .off = 0, .imm = 0},
        call(BPF_FUNC_probe_read_kernel_str),
        set<0>(0),
        bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    };
    Descriptor loaded(bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "attach_messages", "GPL", program.data(),
                                    program.size(), nullptr));
    if (!loaded) return failure("load the listener: " + errno_text(loaded.get()), -loaded.get());
    return loaded;
}

} // namespace

void AttachMessages::Unmap::operator()(char* text) const { ::munmap(text, text_bytes_max); }

const Result<void>& AttachMessages::listen() {
    if (!listening_) listening_ = start();
    return *listening_;
}

Result<void> AttachMessages::start() {
    const std::string what = "listen to the kernel's messages: ";
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
    map_ = Descriptor(bpf_map_create(BPF_MAP_TYPE_ARRAY, "attach_messages", 4, text_bytes_max, 1, &options));
    if (!map_) return failure(what + errno_text(map_.get()), -map_.get());
    void* const text = ::mmap(nullptr, text_bytes_max, PROT_READ | PROT_WRITE, MAP_SHARED, map_.get(), 0);
    if (text == MAP_FAILED) return failure(what + errno_text(errno), errno);
    text_.reset(static_cast<char*>(text));
    auto program = load_listener(map_.get());
    if (!program) return failure(what + program.error().what, program.error().number);
    program_ = std::move(*program);
    link_ = Descriptor(bpf_raw_tracepoint_open("bpf_xdp_link_attach_failed", program_.get()));
    if (!link_)
        return failure(what + (link_.get() == -ENOENT ? "this kernel tells none" : errno_text(link_.get())),
                       -link_.get());
    return {};
}

void AttachMessages::forget() {
    if (text_) *text_ = '\0';
}

std::string AttachMessages::newest() const { return text_ ? text_.get() : ""; }

} // namespace homeostat::bpf

#include "adapters/bpf/datapath.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/map_entries.hpp"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <ranges>

namespace homeostat::bpf {

namespace {

std::string milliseconds(std::int64_t ns) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f ms", static_cast<double>(ns) / 1e6);
    return text;
}

// What iproute2 calls the mode; on some drivers plain "xdp off" leaves a generic program where it is.
std::string off_word(XdpMode mode) {
    return mode == XdpMode::skb ? "xdpgeneric" : mode == XdpMode::drv ? "xdpdrv" : "xdpoffload";
}

} // namespace

Result<std::unique_ptr<XdpDatapath>> XdpDatapath::open(const std::vector<ProgramSource>& programs,
                                                       const std::vector<std::string>& interfaces) {
    std::unique_ptr<XdpDatapath> datapath(new XdpDatapath());
    for (const std::string& name : interfaces) {
        auto loaded = LoadedPrograms::load(programs);
        if (!loaded) return std::unexpected(loaded.error());
        datapath->rejected_.insert(loaded->rejected().begin(), loaded->rejected().end());
        datapath->interfaces_.emplace_back(name, Interface{std::move(*loaded), std::nullopt, {}});
    }
    return datapath;
}

Result<std::vector<InterfaceMap>> XdpDatapath::maps_named(std::string_view name) const {
    std::vector<InterfaceMap> maps;
    for (const auto& [interface, state] : interfaces_) {
        const auto map = state.programs.map(name);
        if (!map) continue;
        auto descriptor = duplicate(map->descriptor);
        if (!descriptor) return std::unexpected(descriptor.error());
        maps.push_back({interface, std::string(name), map->object, std::move(*descriptor)});
    }
    return maps;
}

// Our link stands for the interface only where it still holds the device that has the interface's index here,
// and the device shows the link's program: after a move between network namespaces, the bare index alone may
// name another device. Any other link is closed, which detaches what it held.
void XdpDatapath::drop_stale_link(Interface& interface, unsigned ifindex) {
    if (!interface.attachment) return;
    const auto target = interface.attachment->link.target();
    if (target && ifindex != 0 && target->ifindex == ifindex) {
        const auto shown = attached_program(ifindex);
        if (!shown || (*shown && (*shown)->id == target->program_id)) return;
    }
    interface.attachment.reset();
}

ActualInterface XdpDatapath::read_back(const std::string& name, Interface& interface) {
    ActualInterface actual;
    const unsigned ifindex = ::if_nametoindex(name.c_str());
    actual.present = ifindex != 0;
    actual.up = actual.present && is_up(name);
    actual.index = ifindex;
    drop_stale_link(interface, ifindex);
    if (const auto shown = attached_program(ifindex); actual.present && shown && *shown) {
        const auto [id, mode] = **shown;
        const auto ours = interface.attachment ? interface.programs.name_of(id) : std::nullopt;
        actual.xdp = AttachedXdp{ours ? *ours : std::string(foreign_prefix) + program_name(id), mode, id};
    }
    for (const auto& [entry, wanted] : interface.owned) {
        const auto map = interface.programs.map(entry.map);
        const auto port = map ? MapEntryPort::open(*map, entry) : std::unexpected(map.error());
        const auto bytes = port ? port->read() : std::unexpected(port.error());
        if (bytes && *bytes) actual.entries.emplace(entry, port->decode(**bytes, wanted));
    }
    return actual;
}

ActualState XdpDatapath::read_back() {
    ActualState state;
    for (auto& [name, interface] : interfaces_) state.emplace(name, read_back(name, interface));
    return state;
}

// A transaction under way on one interface. Each step, once done, leaves behind how to undo it.
class XdpDatapath::Change {
  public:
    Change(const std::string& name, Interface& interface, std::vector<std::string>& notes)
        : name_(name), interface_(interface), notes_(notes), owned_before_(interface.owned) {}

    Result<void> run(const std::vector<Step>& steps) {
        for (const Step& step : steps) {
            auto done = std::visit([this](const auto& one) { return perform(one); }, step);
            if (done) continue;
            return failure(name_ + ": " + to_text(step) + ": " + done.error().what + undo(),
                           done.error().number);
        }
        return {};
    }

    // When the kernel last accepted a program, by the monotonic clock; 0 for never.
    std::int64_t accepted_ns() const { return accepted_ns_; }

  private:
    struct Held {
        std::string program;
        XdpMode mode;
    };

    Result<void> perform(const SetMapEntry& step) {
        const auto map = interface_.programs.map(step.entry.map);
        if (!map) return std::unexpected(map.error());
        const auto port = MapEntryPort::open(*map, step.entry);
        if (!port) return std::unexpected(port.error());
        const auto bytes = port->encode(step.value);
        if (!bytes) return std::unexpected(bytes.error());
        if (auto kept = keep(*port); !kept) return kept;
        if (auto written = port->write(*bytes); !written) return written;
        interface_.owned[step.entry] = step.value;
        return {};
    }

    Result<void> perform(const ClearMapEntry& step) {
        const auto map = interface_.programs.map(step.entry.map);
        if (!map) return std::unexpected(map.error());
        const auto port = MapEntryPort::open(*map, step.entry);
        if (!port) return std::unexpected(port.error());
        if (auto kept = keep(*port); !kept) return kept;
        if (auto cleared = port->clear(); !cleared) return cleared;
        interface_.owned.erase(step.entry);
        return {};
    }

    Result<void> perform(const AttachXdp& step) {
        const auto ifindex = find_interface();
        if (!ifindex) return std::unexpected(ifindex.error());
        if (interface_.attachment)
            return failure("program " + interface_.attachment->program + " is already attached; replace it",
                           EEXIST);
        if (auto free = refuse_foreign(*ifindex); !free) return free;
        if (auto attached = climb(step.program, step.ladder, *ifindex); !attached) return attached;
        undo_by_restoring(std::nullopt);
        return {};
    }

    Result<void> perform(const ReplaceXdp& step) {
        const auto ifindex = find_interface();
        if (!ifindex) return std::unexpected(ifindex.error());
        if (auto held = require_attachment(*ifindex); !held) return held;
        const Held before = held_now();
        if (auto updated = update(step.program, *ifindex); !updated) return updated;
        undo_by_restoring(before);
        return {};
    }

    Result<void> perform(const SwitchXdpMode& step) {
        const auto ifindex = find_interface();
        if (!ifindex) return std::unexpected(ifindex.error());
        if (auto held = require_attachment(*ifindex); !held) return held;
        if (const auto loaded = interface_.programs.program(step.program); !loaded)
            return std::unexpected(loaded.error());
        const Held before = held_now();
        const std::int64_t start = monotonic_ns();
        if (auto detached = detach(); !detached) return detached;
        const auto attached = climb(step.program, step.ladder, *ifindex);
        const auto restored = attached ? Result<void>{} : climb(before.program, {before.mode}, *ifindex);
        if (!restored)
            return failure(attached.error().what +
                               "; and the old program could not be attached again: " + restored.error().what,
                           attached.error().number);
        notes_.push_back(name_ + ": no program for " + milliseconds(accepted_ns_ - start) +
                         " while switching from " + std::string(to_text(before.mode)) + " to " +
                         std::string(to_text(interface_.attachment->mode)));
        if (!attached)
            return failure(attached.error().what + "; the old program is attached again",
                           attached.error().number);
        undo_by_restoring(before);
        return {};
    }

    Result<void> perform(const DetachXdp&) {
        const auto ifindex = find_interface();
        if (!ifindex) return std::unexpected(ifindex.error());
        if (!interface_.attachment) return refuse_foreign(*ifindex);
        const Held before = held_now();
        const std::uint32_t id = interface_.programs.program(before.program)->id;
        if (auto detached = detach(); !detached) return detached;
        undo_by_restoring(before);
        const auto shown = attached_program(*ifindex);
        if (!shown) return std::unexpected(shown.error());
        if (*shown && (*shown)->id == id)
            return failure("the kernel detached the link but still shows " + describe(**shown), EIO);
        return {};
    }

    Result<unsigned> find_interface() {
        const unsigned ifindex = ::if_nametoindex(name_.c_str());
        drop_stale_link(interface_, ifindex);
        if (ifindex == 0) return failure("there is no such interface in this network namespace", ENODEV);
        return ifindex;
    }

    Result<void> refuse_foreign(unsigned ifindex) const {
        const auto shown = attached_program(ifindex);
        if (!shown) return std::unexpected(shown.error());
        if (!*shown) return {};
        return failure(
            "foreign " + describe(**shown) +
                " is attached and is left alone; detach it with its own tool, or with 'ip link set " + name_ +
                " " + off_word((*shown)->mode) + " off' or 'bpftool link detach'",
            EBUSY);
    }

    Result<void> require_attachment(unsigned ifindex) const {
        if (interface_.attachment) return {};
        if (auto free = refuse_foreign(ifindex); !free) return free;
        return failure("nothing is attached", ENOENT);
    }

    Held held_now() const { return {interface_.attachment->program, interface_.attachment->mode}; }

    // Tries the modes in order. Success is what the kernel shows afterwards, and each refusal is kept.
    Result<void> climb(const std::string& program, const std::vector<XdpMode>& ladder, unsigned ifindex) {
        const auto loaded = interface_.programs.program(program);
        if (!loaded) return std::unexpected(loaded.error());
        Error refusals{ladder.empty() ? "no mode is allowed" : "", EINVAL};
        for (const XdpMode mode : ladder) {
            auto link = XdpLink::attach(loaded->descriptor, name_, ifindex, mode);
            const std::int64_t accepted = monotonic_ns();
            const auto shown = link ? verify(*loaded, mode, ifindex) : std::unexpected(link.error());
            if (shown) {
                accepted_ns_ = accepted;
                interface_.attachment.emplace(Attachment{std::move(*link), program, mode});
                if (!refusals.what.empty())
                    notes_.push_back(name_ + ": fell to mode " + std::string(to_text(mode)) + ": " +
                                     refusals.what);
                return {};
            }
            refusals.what += (refusals.what.empty() ? "" : "; ") + shown.error().what;
            refusals.number = shown.error().number;
        }
        return std::unexpected(refusals);
    }

    Result<void> update(const std::string& program, unsigned ifindex) {
        Attachment& attachment = *interface_.attachment;
        const auto loaded = interface_.programs.program(program);
        const auto old = interface_.programs.program(attachment.program);
        if (!loaded) return std::unexpected(loaded.error());
        if (!old) return std::unexpected(old.error());
        if (auto updated = attachment.link.update(loaded->descriptor, old->descriptor); !updated)
            return updated;
        const std::int64_t accepted = monotonic_ns();
        if (auto shown = verify(*loaded, attachment.mode, ifindex); !shown) {
            const auto back = attachment.link.update(old->descriptor, loaded->descriptor);
            return failure(shown.error().what + (back ? "" : "; and going back failed: " + back.error().what),
                           shown.error().number);
        }
        accepted_ns_ = accepted;
        attachment.program = program;
        return {};
    }

    Result<void> detach() {
        if (auto detached = interface_.attachment->link.detach(); !detached) return detached;
        interface_.attachment.reset();
        return {};
    }

    Result<void> verify(const LoadedPrograms::Program& program, XdpMode mode, unsigned ifindex) const {
        const auto shown = attached_program(ifindex);
        if (!shown) return std::unexpected(shown.error());
        if (*shown && (*shown)->id == program.id && (*shown)->mode == mode) return {};
        return failure("the kernel accepted program " + std::to_string(program.id) + " in mode " +
                           std::string(to_text(mode)) + " but shows " + (*shown ? describe(**shown) : "none"),
                       EIO);
    }

    Result<void> keep(const MapEntryPort& port) {
        const auto before = port.read();
        if (!before) return std::unexpected(before.error());
        undo_.emplace_back([port, before] { return *before ? port.write(**before) : port.clear(); });
        return {};
    }

    void undo_by_restoring(const std::optional<Held>& before) {
        undo_.emplace_back([this, before] { return restore(before); });
    }

    Result<void> restore(const std::optional<Held>& before) {
        const auto ifindex = find_interface();
        if (!ifindex) return std::unexpected(ifindex.error());
        if (before && interface_.attachment && interface_.attachment->mode == before->mode)
            return update(before->program, *ifindex);
        if (interface_.attachment)
            if (auto detached = detach(); !detached) return detached;
        return before ? climb(before->program, {before->mode}, *ifindex) : Result<void>{};
    }

    // Takes all steps back, the last one first. Returns what to add to the error: "" where all went well.
    std::string undo() {
        std::string failures;
        for (const auto& step : std::views::reverse(undo_))
            if (auto undone = step(); !undone) failures += "; and undoing failed: " + undone.error().what;
        interface_.owned = owned_before_;
        return failures;
    }

    const std::string& name_;
    Interface& interface_;
    std::vector<std::string>& notes_;
    std::map<MapEntry, MapValue> owned_before_;
    std::vector<std::function<Result<void>()>> undo_;
    std::int64_t accepted_ns_ = 0;
};

Outcome XdpDatapath::apply(const Transaction& transaction) {
    Outcome outcome;
    outcome.id = transaction.id;
    outcome.interface = transaction.interface;
    const std::int64_t start = monotonic_ns();
    const auto found =
        std::ranges::find(interfaces_, transaction.interface, &std::pair<std::string, Interface>::first);
    if (found == interfaces_.end()) {
        outcome.error = "interface " + transaction.interface + " is not managed";
        outcome.done_monotonic_ns = monotonic_ns();
        return outcome;
    }
    Change change(found->first, found->second, outcome.notes);
    const auto done = change.run(transaction.steps);
    outcome.ok = done.has_value();
    if (!done) outcome.error = done.error().what;
    const std::int64_t end = monotonic_ns();
    outcome.done_monotonic_ns = change.accepted_ns() != 0 ? change.accepted_ns() : end;
    outcome.actual = read_back(found->first, found->second);
    outcome.took_ns = monotonic_ns() - start;
    return outcome;
}

} // namespace homeostat::bpf

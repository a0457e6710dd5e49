// What a controller leaves in the kernel and on disk while it does not run, and how the next one finds it:
//
//   BPFFS/INSTANCE/INTERFACE/link           the XDP link
//   BPFFS/INSTANCE/INTERFACE/link+next      one beside it, in the middle of a switch from or to mode hw
//   BPFFS/INSTANCE/INTERFACE/guard          the TCX link of the guard (see guard.hpp)
//   BPFFS/INSTANCE/INTERFACE/tc-ingress     the TCX link of a TC program, as tc-egress (see tc_link.hpp)
//   BPFFS/INSTANCE/INTERFACE/clsact@IFINDEX some program: the device's clsact qdisc is ours (see clsact.hpp)
//   BPFFS/INSTANCE/INTERFACE/programs/NAME@DIGEST
//   BPFFS/INSTANCE/INTERFACE/maps/NAME      those that the attached program works on
//   BPFFS/INSTANCE/INTERFACE/maps/NAME+next of another definition, for the program that is to take its place
//   BPFFS/INSTANCE/INTERFACE/maps/NAME+old  what was NAME before, until the transaction is whole
//   STATE/INSTANCE/lock                     held by the owner while it runs
//   STATE/INSTANCE/manifest                 what is attached, and which map entries are ours
//   STATE/INSTANCE/journal                  how to take back the transaction that is under way
//   STATE/INSTANCE/maps/INTERFACE           how the pinned maps were defined (see map_definitions.hpp)
//
// Linux reserves names with dots in a BPF file system, so an interface's '.' is written "%2e".
#pragma once

#include "adapters/bpf/datapath/undo.hpp"
#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

struct InstancePlace {
    std::string name = "default";
    std::string bpffs = "/sys/fs/bpf/homeostat";
    std::string state = "/run/homeostat";
};

// The pins of one interface.
class InterfacePins {
  public:
    InterfacePins(const InstancePlace& place, std::string_view interface);

    std::string folder() const { return folder_; }
    std::string link() const { return folder_ + "/link"; }
    std::string next_link() const { return link() + "+next"; } // while it takes the place of the other
    std::string guard() const { return folder_ + "/guard"; }
    std::string tc_link(TcDirection direction) const {
        return folder_ + "/tc-" + std::string(to_text(direction));
    }
    std::string clsact(unsigned ifindex) const { return folder_ + "/clsact@" + std::to_string(ifindex); }
    std::vector<std::string> clsacts() const; // those that are there
    std::string programs() const { return folder_ + "/programs"; }
    std::string maps() const { return folder_ + "/maps"; }
    std::string program(std::string_view version) const;
    std::string map(std::string_view name) const;
    std::string next_map(std::string_view name) const { return map(name) + "+next"; }
    std::string old_map(std::string_view name) const { return map(name) + "+old"; }

  private:
    std::string folder_;
};

// From the path of a program's pin back to its name.
std::string version_of_pin(const std::string& path);

// Their paths, sorted; none where there is no such folder.
std::vector<std::string> files_in(const std::string& folder);

// Those for which the instance has pins, sorted.
std::vector<std::string> pinned_interfaces(const InstancePlace& place);

struct Manifest {
    struct Interface {
        std::uint32_t ifindex = 0;
        std::int64_t attached_unix_ms = 0; // 0 where nothing is attached
        std::map<MapEntry, MapValue> owned;
        std::map<TcDirection, std::int64_t> tc_attached_unix_ms{};

        bool operator==(const Interface&) const = default;
    };

    std::string boot_id;
    std::uint64_t netns_cookie = 0;
    std::uint64_t committed = 0; // the number of the last transaction that is whole
    std::map<std::string, Interface> interfaces;

    bool operator==(const Manifest&) const = default;
};

// A transaction that was begun: its entries are taken back from the last to the first.
struct Journal {
    std::string boot_id; // of another boot, it is void: what it would take back went with the kernel
    std::uint64_t transaction = 0;
    std::string interface;
    std::vector<Undo> undo;

    bool operator==(const Journal&) const = default;
};

// One owner at a time, by a lock of fcntl(2) that belongs to the open file. Move-only; the lock goes with it,
// all else stays. Thread: none of its own.
class Instance {
  public:
    // Makes the folders, takes the lock, and reads what is there. Fails, each with what to do: the BPF file
    // system is not mounted or not writable; another process owns the instance (says which); it is used in
    // another network namespace, and its devices are still there; the manifest or the journal is damaged.
    static Result<Instance> open(InstancePlace place, const KernelPort& kernel);

    const InstancePlace& place() const { return place_; }
    InterfacePins pins(std::string_view interface) const { return {place_, interface}; }
    std::string definitions_path(std::string_view interface) const;
    Result<void> make_folders(std::string_view interface) const;

    std::vector<std::string> pinned_interfaces() const; // sorted

    const Manifest& manifest() const { return manifest_; }
    // Of a transaction that its process did not finish; none where all was well.
    const std::optional<Journal>& unfinished() const { return unfinished_; }

    // The pins that open() removed: of a network namespace that went with its devices.
    const std::vector<std::string>& forgotten() const { return forgotten_; }
    // What open() dropped, for people: the journal of an earlier boot; "" for nothing.
    const std::string& dropped() const { return dropped_; }

    // Whether a journal could not be removed: the next transaction must write one of its own over it.
    bool journal_stays() const { return journal_stays_; }
    // Begins the journal of the next transaction; from here on, each undo is written before its step is made.
    Result<void> begin(const std::string& interface);
    Result<void> note(const Undo& undo);
    // From here on, this is what the interface is, and the journal is void; none: nothing of it is ours any
    // more. Where it fails, the transaction must be taken back.
    Result<void> commit(const std::string& interface, std::optional<Manifest::Interface> now);
    // After everything was taken back.
    Result<void> abandon();
    // What could not be taken back stays unfinished: the next transaction and the next owner try again.
    Result<void> keep(const std::string& interface, const std::vector<Undo>& undo);

    // Removes the folders of pins that are empty, and the files of the instance.
    Result<void> remove();

  private:
    Instance() = default;
    std::string journal_path() const;
    std::string manifest_path() const;
    std::string definitions_folder() const;
    Result<void> read_state();
    Result<void> write_journal(const Journal& journal) const;
    Result<void> forget();

    InstancePlace place_;
    const KernelPort* kernel_ = nullptr;
    Descriptor lock_;
    Manifest manifest_;
    std::optional<Journal> unfinished_;
    std::vector<std::string> forgotten_;
    std::string dropped_;
    bool journal_stays_ = false;
};

// The pins that open() would remove: all of them, where the manifest is of a network namespace that went with
// its devices. Fails where it is of another one whose devices are there still. Nothing is changed.
Result<std::vector<std::string>> pins_to_forget(const InstancePlace& place, const Manifest& manifest,
                                                const KernelPort& kernel);

// What the instance has written down, without owning it: also while a controller does. Of this boot only.
struct InstanceRecords {
    Manifest manifest;
    std::optional<Journal> journal; // of a change that is under way, or was cut short
    std::string dropped;            // as Instance::dropped(): open() would
    std::string owner;              // the process that owns the instance now; "" for none
};
Result<InstanceRecords> read_records(const InstancePlace& place);

std::string to_text(const Manifest& manifest);
Result<Manifest> read_manifest(std::string_view text);
// The one that is written down; an empty one where there is none, or it is from before the machine started:
// its pins went with it.
Result<Manifest> manifest_of(const InstancePlace& place);
std::string to_text(const Journal& journal); // a line for its beginning, and one for each entry
// A last line that was cut off is left out: its step was not made.
Result<Journal> read_journal(std::string_view text);

} // namespace homeostat::bpf

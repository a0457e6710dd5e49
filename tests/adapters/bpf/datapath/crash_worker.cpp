// A process that changes an interface again and again, and is to be killed: it opens the datapath, prints
// "open", and goes around the states of transaction_states.hpp.
//
// crash_worker BPFFS STATE CALL KIND: kills itself before its CALL-th call to the kernel after that; 0:
// never. KIND: of the guard and of TC programs, "tcx" or "clsact".

#include "tests/adapters/bpf/datapath/transaction_states.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <unistd.h>

using namespace homeostat;
using namespace homeostat::bpf;

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    const auto kill_at = std::strtoul(argv[3], nullptr, 10);
    const auto calls = std::make_shared<unsigned long>(0);
    const auto armed = std::make_shared<bool>(false);
    DatapathOptions options = options_at(
        argv[1], argv[2], std::string(argv[4]) == "clsact" ? Guard::Kind::clsact : Guard::Kind::tcx);
    options.kernel = KernelPort([=](KernelCall) {
        if (*armed && ++*calls == kill_at) ::kill(::getpid(), SIGKILL);
        return 0;
    });
    auto datapath = XdpDatapath::open(std::move(options), state_programs(), {"lab0"});
    if (!datapath) {
        std::fprintf(stderr, "%s\n", datapath.error().what.c_str());
        return 1;
    }
    std::puts("open");
    std::fflush(stdout);
    *armed = true;
    for (;;) {
        const ActualInterface now = (*datapath)->read_back().at("lab0");
        const auto at = state_of(now);
        if (!at) {
            std::fprintf(stderr, "a mixture: %s\n", text_of(now).c_str());
            return 1;
        }
        const Outcome outcome =
            (*datapath)->apply({TransactionId{1}, "lab0", steps_between(*at, (*at + 1) % states().size())});
        if (!outcome.ok) {
            std::fprintf(stderr, "%s\n", outcome.error.c_str());
            return 1;
        }
    }
}

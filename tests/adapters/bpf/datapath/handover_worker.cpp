// A controller of the new version that is to be killed: it opens the datapath and replaces the program.
//
// handover_worker BPFFS STATE CALL: lets some packets through and kills itself before its CALL-th call to the
// kernel; ends with 0 where it makes fewer.

#include "tests/adapters/bpf/datapath/handover_states.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <unistd.h>

using namespace homeostat;
using namespace homeostat::bpf;

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const auto kill_at = std::strtoul(argv[3], nullptr, 10);
    const auto calls = std::make_shared<unsigned long>(0);
    DatapathOptions options = handover_options(argv[1], argv[2]);
    options.kernel = KernelPort([=](KernelCall) {
        if (++*calls != kill_at) return 0;
        run_attached(packets_meanwhile);
        return ::kill(::getpid(), SIGKILL);
    });
    auto datapath = XdpDatapath::open(std::move(options), {new_version()}, {"lab0"});
    if (!datapath) {
        std::fprintf(stderr, "%s\n", datapath.error().what.c_str());
        return 1;
    }
    const Outcome outcome = (*datapath)->apply({TransactionId{1}, "lab0", handover_steps()});
    if (!outcome.ok) std::fprintf(stderr, "%s\n", outcome.error.c_str());
    return outcome.ok ? 0 : 1;
}

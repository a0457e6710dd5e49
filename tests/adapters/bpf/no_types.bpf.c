// Is compiled without debug information, so that its object has no BTF.
__attribute__((section("xdp"), used)) int no_types(void* context) {
    (void)context;
    return 2;
}

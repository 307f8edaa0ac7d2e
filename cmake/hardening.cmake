# Optimized builds: what compiler, linker and libraries can do against a mistake that an input might
# use (scripts/check_hardening.sh looks). Not -fcf-protection: it holds only where every object has
# it, and those of Debian's C library that begin a program do not.

include(CheckPIESupported)
check_pie_supported()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(hardening_options
    -fstack-protector-strong -fstack-clash-protection
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -D_GLIBCXX_ASSERTIONS)
set(optimized $<CONFIG:Release,RelWithDebInfo,MinSizeRel>)
add_compile_options("$<$<AND:${optimized},$<COMPILE_LANGUAGE:CXX>>:${hardening_options}>")
add_link_options("$<${optimized}:LINKER:-z,relro,-z,now>")

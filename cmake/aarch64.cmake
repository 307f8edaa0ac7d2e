# Cross build by Debian's g++-aarch64-linux-gnu, its programs run by qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;/usr/aarch64-linux-gnu")

# The host's header-only libraries serve any machine, but with /usr/include itself would come the
# host's C library; so they are seen through links from a folder of their own.
foreach(library doctest nlohmann)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/header-only)
  file(CREATE_LINK /usr/include/${library} ${CMAKE_BINARY_DIR}/header-only/${library} SYMBOLIC)
endforeach()
list(APPEND CMAKE_INCLUDE_PATH ${CMAKE_BINARY_DIR}/header-only)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE NEVER)

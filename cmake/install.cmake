# What `cmake --install` and the .deb hold. The public headers keep the names they have in the source
# tree, so that a program says #include "core/codec.h" with either.

include(CMakePackageConfigHelpers)

install(TARGETS libmimi EXPORT mimi-targets)
install(FILES core/codec.h core/error.h core/token_file.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mimi/core)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mimi)
install(EXPORT mimi-targets NAMESPACE mimi:: DESTINATION ${package_dir})
configure_package_config_file(cmake/mimiConfig.cmake.in mimiConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(mimiConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mimiConfig.cmake ${PROJECT_BINARY_DIR}/mimiConfigVersion.cmake
        DESTINATION ${package_dir})

# The paths in mimi.pc are relative to itself, so that an installed tree can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH MIMI_PC_TO_PREFIX ${pkgconfig_dir} ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/mimi.pc.in mimi.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/mimi.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# In the folders of the source tree, so that the documents' links lead somewhere.
install(FILES LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
foreach(document cli/DATASET.md core/FORMAT.md model/MODEL_CARD.md samples/README.md)
  cmake_path(GET document PARENT_PATH folder)
  install(FILES ${document} DESTINATION ${CMAKE_INSTALL_DOCDIR}/${folder})
endforeach()
install(PROGRAMS scripts/read_mimi.py DESTINATION ${CMAKE_INSTALL_DOCDIR}/scripts)
install(PROGRAMS scripts/slurm/tokenize.sbatch DESTINATION ${CMAKE_INSTALL_DOCDIR}/scripts/slurm)

if(MIMI_BUILD_CLI)
  install(TARGETS mimi)
  # What the program was made of.
  add_custom_command(
    OUTPUT mimi.spdx.json
    COMMAND
      ${PROJECT_SOURCE_DIR}/scripts/make_sbom.sh ${PROJECT_VERSION} ${CMAKE_CXX_COMPILER}
      $<TARGET_FILE:mimi> ${MIMI_JSON_INCLUDE_DIR}/nlohmann/json.hpp
      ${MIMI_CLI11_INCLUDE_DIR}/CLI/CLI.hpp > mimi.spdx.json
    DEPENDS mimi scripts/make_sbom.sh
    VERBATIM)
  add_custom_target(sbom ALL DEPENDS mimi.spdx.json)
  install(FILES ${PROJECT_BINARY_DIR}/mimi.spdx.json DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install(FILES man/mimi.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES completions/mimi.bash RENAME mimi
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES completions/mimi.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  install(FILES completions/_mimi DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endif()

# --- the Debian package: cpack -G DEB ---

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "The mimi authors")
set(CPACK_PACKAGE_CONTACT "The mimi authors <mimi@localhost>")
set(CPACK_PACKAGE_DESCRIPTION
    "mimi turns speech into 12.5 frames of tokens a second, and back, in real time
and many times faster on ordinary processors. A small model is built in; the
weights of kyutai/mimi can be used as well. The library and its header are
part of the package.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION sound)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/debian.cmake)
include(CPack)

# Run by CPack on the tree that becomes the .deb, to give it the form that Debian's policy asks for.
set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share)

file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/copyright ${share}/doc/mimi/copyright)
file(RENAME ${share}/doc/mimi/CHANGELOG.md ${share}/doc/mimi/changelog)
execute_process(COMMAND gzip --best --no-name ${share}/doc/mimi/changelog ${share}/man/man1/mimi.1
                        COMMAND_ERROR_IS_FATAL ANY)
# Debian's zsh reads site-functions below /usr/local only.
file(RENAME ${share}/zsh/site-functions ${share}/zsh/vendor-completions)

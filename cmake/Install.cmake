# The package: headers, static libraries, the daemon, its man page, unit files, completions and JSON schema.
# Another project uses it with find_package(weir) and target_link_libraries(... weir::library).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS weir_flags weir_base weir_algorithms weir_io weir_http weir_headers weir_storage weir_storage_memory weir_storage_redis weir_io_postgres weir_storage_postgres weir_storage_hybrid weir_config
                weir_engine weir_analytics weir_net weir_library
        EXPORT weirTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS weir RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT weirTargets NAMESPACE weir:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
configure_package_config_file(cmake/weirConfig.cmake.in ${PROJECT_BINARY_DIR}/weirConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/weirConfig.cmake ${PROJECT_BINARY_DIR}/weirConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
install(FILES deploy/man/weir.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

# What depends on where it is installed, or on what the daemon says of itself, is written when it is installed: the prefix
# may then be another one than when it was configured.
set(installed ${PROJECT_BINARY_DIR}/installed)
install(CODE "
  file(MAKE_DIRECTORY \"${installed}\")
  set(bindir \"${CMAKE_INSTALL_BINDIR}\")
  cmake_path(ABSOLUTE_PATH bindir BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\" NORMALIZE)
  foreach(kind bash zsh fish)
    execute_process(COMMAND \"$<TARGET_FILE:weir>\" completion \${kind} OUTPUT_FILE \"${installed}/weir.\${kind}\"
                    COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  execute_process(COMMAND \"$<TARGET_FILE:weir>\" schema OUTPUT_FILE \"${installed}/weir.schema.json\"
                  COMMAND_ERROR_IS_FATAL ANY)
  file(READ \"${PROJECT_SOURCE_DIR}/deploy/systemd/weir.service\" unit)
  string(REPLACE \"ExecStart=/usr/bin/weir\" \"ExecStart=\${bindir}/weir\" unit \"\${unit}\")
  file(WRITE \"${installed}/weir.service\" \"\${unit}\")
")
install(FILES ${installed}/weir.service deploy/systemd/weir.socket DESTINATION ${CMAKE_INSTALL_LIBDIR}/systemd/system)
install(FILES ${installed}/weir.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME weir)
install(FILES ${installed}/weir.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _weir)
install(FILES ${installed}/weir.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${installed}/weir.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/weir)

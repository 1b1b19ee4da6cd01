# The package: headers, static libraries, the daemon, its man page, unit files and completions.
# Another project uses it with find_package(weir) and target_link_libraries(... weir::library).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS weir_flags weir_base weir_algorithms weir_storage weir_storage_memory weir_storage_redis weir_config
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
install(FILES deploy/systemd/weir.service deploy/systemd/weir.socket DESTINATION ${CMAKE_INSTALL_LIBDIR}/systemd/system)

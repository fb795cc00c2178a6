from lah_platform.cli.app import main

main()

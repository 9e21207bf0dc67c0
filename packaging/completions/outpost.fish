# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_outpost_global_optspecs
    string join \n h/help V/version
end

function __fish_outpost_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_outpost_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_outpost_using_subcommand
    set -l cmd (__fish_outpost_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c outpost -n "__fish_outpost_needs_command" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_needs_command" -s V -l version -d 'Print version'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "run" -d 'Runs the agent in the foreground until it is stopped'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "init" -d 'Writes a first agent.toml; asks for what the options do not say'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "join" -d 'Joins a fleet by an invitation: from then on this device hands over to its hub instead of sending to Target'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "record" -d 'Records events durably: through the running agent, or else directly in its store'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "status" -d 'Shows the verdict and the numbers: link, pending, delivered, rejected, quota and store'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "check" -d 'Validates the configuration, runs every [[mapping.example]], and shows the effective values and where they come from'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "preview" -d 'Shows which mappings match an event, and the exact requests that would be sent'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "rejected" -d 'Shows, retries or drops rejected events and updates'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "explain" -d 'Explains one profile: each attribute, what set it, and what became of it'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "verify" -d 'Reads a profile back from Target, and compares it with this device attribute by attribute'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "forget" -d 'Erases everything that this device has about an identity, and reports what it erased'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "doctor" -d 'Checks configuration, disk, store, clocks, destination, network, certificate, token, link and quota'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "token" -d 'Creates, replaces and revokes tokens of the local API'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "backup" -d 'Copies the store into a file, even while the agent is running'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "rekey" -d 'Encrypts the store with another key; the agent must be stopped'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "log" -d 'Changes the log level of the running agent for a limited time'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "reload" -d 'Makes the running agent reload its configuration'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "retry-now" -d 'Makes the running agent retry at once, instead of after its backoff'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "sandbox" -d 'Runs only the Target simulator'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "service" -d 'Installs the agent as a Windows service, removes it, and shows its state'
complete -c outpost -n "__fish_outpost_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c outpost -n "__fish_outpost_using_subcommand run" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand run" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand run" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand run" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand init" -l client-code -d 'Client code of Adobe Target' -r
complete -c outpost -n "__fish_outpost_using_subcommand init" -l event -d 'Type of the events that your software sends' -r
complete -c outpost -n "__fish_outpost_using_subcommand init" -l customer -d 'Field of an event\'s data that says which customer it is about' -r
complete -c outpost -n "__fish_outpost_using_subcommand init" -l keep -d 'Field of an event\'s data whose newest value the customer\'s profile keeps' -r
complete -c outpost -n "__fish_outpost_using_subcommand init" -l data-dir -d 'Folder for the store' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand init" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand join" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand join" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand join" -l invite -d 'Code of the invitation, or @ and the file that holds it: others on this device can see what is typed' -r
complete -c outpost -n "__fish_outpost_using_subcommand join" -l group -d 'Group of devices to belong to, where the invitation leaves that open' -r
complete -c outpost -n "__fish_outpost_using_subcommand join" -l ca-file -d 'Certificates of the authority that the hub\'s certificate is of, if it is not one of the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand join" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand join" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand record" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand record" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand record" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand record" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand record" -l type -d 'The event\'s type' -r
complete -c outpost -n "__fish_outpost_using_subcommand record" -l data -d 'The event\'s data: @FILE, - for stdin, or JSON, which other users can see in the process list' -r
complete -c outpost -n "__fish_outpost_using_subcommand record" -l subject -d 'The event\'s subject' -r
complete -c outpost -n "__fish_outpost_using_subcommand record" -l source -d 'The event\'s source' -r
complete -c outpost -n "__fish_outpost_using_subcommand record" -l id -d 'The event\'s id; by default a new one' -r
complete -c outpost -n "__fish_outpost_using_subcommand record" -l time -d 'The event\'s time, in RFC 3339; by default now' -r
complete -c outpost -n "__fish_outpost_using_subcommand record" -l batch -d 'A CloudEvents JSON batch, or one event per line, in a file or - for stdin' -r
complete -c outpost -n "__fish_outpost_using_subcommand record" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand record" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand status" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand status" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand status" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand status" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand status" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand status" -l watch -d 'Refresh every second until Ctrl-C; with --json, print one document per line'
complete -c outpost -n "__fish_outpost_using_subcommand status" -l json -d 'Print the document of GET /v1/status'
complete -c outpost -n "__fish_outpost_using_subcommand status" -l open -d 'Print a link that opens the status page in a browser on this device, once'
complete -c outpost -n "__fish_outpost_using_subcommand status" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand check" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand check" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand check" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand check" -l defaults -d 'Show also the settings that are not set, with their defaults'
complete -c outpost -n "__fish_outpost_using_subcommand check" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand preview" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand preview" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand preview" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand preview" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and not __fish_seen_subcommand_from list show retry drop help" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and not __fish_seen_subcommand_from list show retry drop help" -f -a "list" -d 'Lists what was rejected, by reason, oldest first'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and not __fish_seen_subcommand_from list show retry drop help" -f -a "show" -d 'Shows one of them in full, with the event or the identity'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and not __fish_seen_subcommand_from list show retry drop help" -f -a "retry" -d 'Maps rejected events again with the current configuration, and sends rejected updates again'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and not __fish_seen_subcommand_from list show retry drop help" -f -a "drop" -d 'Discards them permanently'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and not __fish_seen_subcommand_from list show retry drop help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from list" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from list" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from list" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from list" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from list" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from list" -l json -d 'Print JSON'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from show" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from show" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from show" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from show" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from show" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from show" -l json -d 'Print JSON'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from retry" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from retry" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from retry" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from retry" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from retry" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from retry" -l all -d 'All of them'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from drop" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from drop" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from drop" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from drop" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from drop" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from drop" -l all -d 'All of them'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from drop" -l yes -d 'Do not ask'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from drop" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists what was rejected, by reason, oldest first'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one of them in full, with the event or the identity'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from help" -f -a "retry" -d 'Maps rejected events again with the current configuration, and sends rejected updates again'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from help" -f -a "drop" -d 'Discards them permanently'
complete -c outpost -n "__fish_outpost_using_subcommand rejected; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c outpost -n "__fish_outpost_using_subcommand explain" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand explain" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand explain" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand explain" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand explain" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand explain" -l json -d 'Print the document of GET /v1/profiles/{kind}/{key}'
complete -c outpost -n "__fish_outpost_using_subcommand explain" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand verify" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand verify" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand verify" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand verify" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand verify" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand verify" -l resend -d 'Send again what has not arrived'
complete -c outpost -n "__fish_outpost_using_subcommand verify" -l json -d 'Print JSON'
complete -c outpost -n "__fish_outpost_using_subcommand verify" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand forget" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand forget" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand forget" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand forget" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand forget" -l file -d 'Forget every identity in a file, one per line; - is standard input' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand forget" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand forget" -l json -d 'Print JSON'
complete -c outpost -n "__fish_outpost_using_subcommand forget" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand doctor" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand doctor" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand doctor" -l bundle -d 'Write what support needs into a ZIP file, without secrets or customer data' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand doctor" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand doctor" -l json -d 'Print JSON'
complete -c outpost -n "__fish_outpost_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand token; and not __fish_seen_subcommand_from list create rotate revoke help" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand token; and not __fish_seen_subcommand_from list create rotate revoke help" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand token; and not __fish_seen_subcommand_from list create rotate revoke help" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand token; and not __fish_seen_subcommand_from list create rotate revoke help" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand token; and not __fish_seen_subcommand_from list create rotate revoke help" -f -a "list" -d 'Lists the tokens with their rights, never the tokens themselves'
complete -c outpost -n "__fish_outpost_using_subcommand token; and not __fish_seen_subcommand_from list create rotate revoke help" -f -a "create" -d 'Creates a token and prints it, which happens only once'
complete -c outpost -n "__fish_outpost_using_subcommand token; and not __fish_seen_subcommand_from list create rotate revoke help" -f -a "rotate" -d 'Replaces a token with a new one; without a name, the one from the first start'
complete -c outpost -n "__fish_outpost_using_subcommand token; and not __fish_seen_subcommand_from list create rotate revoke help" -f -a "revoke" -d 'Revokes a token'
complete -c outpost -n "__fish_outpost_using_subcommand token; and not __fish_seen_subcommand_from list create rotate revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from list" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from list" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from list" -l json -d 'Print JSON'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from list" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from create" -l right -d 'The right that it gives' -r -f -a "record\t'Recording events'
read\t'Reading the agent\'s status and data'
admin\t'Everything'"
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from create" -l origin -d 'The only web page that may use it, such as https://kiosk.acme.example; it may only record' -r
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from create" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from create" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from create" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from rotate" -l grace -d 'Time for which the old token stays valid' -r
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from rotate" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from rotate" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from rotate" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from revoke" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from revoke" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from revoke" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists the tokens with their rights, never the tokens themselves'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "create" -d 'Creates a token and prints it, which happens only once'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Replaces a token with a new one; without a name, the one from the first start'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revokes a token'
complete -c outpost -n "__fish_outpost_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c outpost -n "__fish_outpost_using_subcommand backup" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand backup" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand backup" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c outpost -n "__fish_outpost_using_subcommand rekey" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rekey" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand rekey" -l new-key-file -d 'File with the new key; the configuration has the old one' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rekey" -l old-key-file -d 'File with the old key; the configuration has the new one' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand rekey" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand rekey" -l remove -d 'Decrypt the store; the configuration has the key'
complete -c outpost -n "__fish_outpost_using_subcommand rekey" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c outpost -n "__fish_outpost_using_subcommand log" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand log" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand log" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand log" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand log" -l for -d 'For how long, at most 24h; then the configured level applies again' -r
complete -c outpost -n "__fish_outpost_using_subcommand log" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand log" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand reload" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand reload" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand reload" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand reload" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand reload" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand reload" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand retry-now" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand retry-now" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand retry-now" -l url -d 'Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read' -r
complete -c outpost -n "__fish_outpost_using_subcommand retry-now" -l token-file -d 'File with a token of that agent, which others must not be able to read' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand retry-now" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand retry-now" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -l listen -d 'Address to listen on' -r
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -l faults -d 'Faults to inject: outage, lost, 5xx, 429=SECONDS, 429=date-5, 401, gateway=404, portal, redirect, slow=500ms, reset, refuse=ATTRIBUTE, fetch=403 or bulk_v2=lost and likewise for any API, fetch200, batch-slow=30s, batch-stuck, batch-fail=KEY, batch-fail-encoded=KEY, batch-fail-unnamed=KEY, batch-short=ROWS; each with *TIMES' -r
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -l unknown -d 'Treatment of updates for unknown identities' -r -f -a "vanish\t'The update is answered like any other but has no effect, as at the real Target'
accept\t'The profile is created'"
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -l token -d 'Bearer token that requests must carry' -r
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -l delay -d 'Time until a write shows, such as 1h; the real Target takes up to a day' -r
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -l updates-per-day -d 'Single updates accepted in any 24 hours' -r
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -l reads-per-day -d 'Profiles that may be fetched in any 24 hours' -r
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -l known -d 'An identity that is known besides the built-in ones' -r
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -l keep-requests -d 'Number of requests kept for /sandbox/requests' -r
complete -c outpost -n "__fish_outpost_using_subcommand sandbox" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c outpost -n "__fish_outpost_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status run help" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status run help" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status run help" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status run help" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status run help" -f -a "install" -d 'Creates the service and its folders, and starts it if the configuration is valid; run it again after an upgrade'
complete -c outpost -n "__fish_outpost_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status run help" -f -a "uninstall" -d 'Stops the service and removes it; the data stays'
complete -c outpost -n "__fish_outpost_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status run help" -f -a "status" -d 'Shows whether the service is installed and running'
complete -c outpost -n "__fish_outpost_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status run help" -f -a "run" -d 'Started by the service manager'
complete -c outpost -n "__fish_outpost_using_subcommand service; and not __fish_seen_subcommand_from install uninstall status run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from install" -l client-code -d 'The client code' -r
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from install" -l endpoint -d 'Scheme and host for updates, instead of Target\'s own' -r
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from install" -l token-file -d 'The file with Target\'s token' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from install" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from install" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from install" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from uninstall" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from uninstall" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from uninstall" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from status" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from status" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from status" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from run" -s c -l config -d 'The configuration file, read together with the drop-in files next to it; by default ./agent.toml, else the system\'s' -r -F
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from run" -l sandbox-listen -d 'Address of the simulator' -r
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from run" -l sandbox -d 'Use the embedded Target simulator; without -c, also a built-in configuration with a store of its own'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "install" -d 'Creates the service and its folders, and starts it if the configuration is valid; run it again after an upgrade'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "uninstall" -d 'Stops the service and removes it; the data stays'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "status" -d 'Shows whether the service is installed and running'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "run" -d 'Started by the service manager'
complete -c outpost -n "__fish_outpost_using_subcommand service; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "run" -d 'Runs the agent in the foreground until it is stopped'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "init" -d 'Writes a first agent.toml; asks for what the options do not say'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "join" -d 'Joins a fleet by an invitation: from then on this device hands over to its hub instead of sending to Target'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "record" -d 'Records events durably: through the running agent, or else directly in its store'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "status" -d 'Shows the verdict and the numbers: link, pending, delivered, rejected, quota and store'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "check" -d 'Validates the configuration, runs every [[mapping.example]], and shows the effective values and where they come from'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "preview" -d 'Shows which mappings match an event, and the exact requests that would be sent'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "rejected" -d 'Shows, retries or drops rejected events and updates'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "explain" -d 'Explains one profile: each attribute, what set it, and what became of it'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "verify" -d 'Reads a profile back from Target, and compares it with this device attribute by attribute'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "forget" -d 'Erases everything that this device has about an identity, and reports what it erased'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "doctor" -d 'Checks configuration, disk, store, clocks, destination, network, certificate, token, link and quota'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "token" -d 'Creates, replaces and revokes tokens of the local API'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "backup" -d 'Copies the store into a file, even while the agent is running'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "rekey" -d 'Encrypts the store with another key; the agent must be stopped'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "log" -d 'Changes the log level of the running agent for a limited time'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "reload" -d 'Makes the running agent reload its configuration'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "retry-now" -d 'Makes the running agent retry at once, instead of after its backoff'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "sandbox" -d 'Runs only the Target simulator'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "service" -d 'Installs the agent as a Windows service, removes it, and shows its state'
complete -c outpost -n "__fish_outpost_using_subcommand help; and not __fish_seen_subcommand_from run init join record status check preview rejected explain verify forget doctor token backup rekey log reload retry-now sandbox service help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from rejected" -f -a "list" -d 'Lists what was rejected, by reason, oldest first'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from rejected" -f -a "show" -d 'Shows one of them in full, with the event or the identity'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from rejected" -f -a "retry" -d 'Maps rejected events again with the current configuration, and sends rejected updates again'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from rejected" -f -a "drop" -d 'Discards them permanently'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "list" -d 'Lists the tokens with their rights, never the tokens themselves'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "create" -d 'Creates a token and prints it, which happens only once'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "rotate" -d 'Replaces a token with a new one; without a name, the one from the first start'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "revoke" -d 'Revokes a token'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "install" -d 'Creates the service and its folders, and starts it if the configuration is valid; run it again after an upgrade'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "uninstall" -d 'Stops the service and removes it; the data stays'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "status" -d 'Shows whether the service is installed and running'
complete -c outpost -n "__fish_outpost_using_subcommand help; and __fish_seen_subcommand_from service" -f -a "run" -d 'Started by the service manager'

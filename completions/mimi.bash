# Bash completion of mimi.

_mimi() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command='' word options='-q --quiet -h --help -V --version'
  compopt -o filenames 2>/dev/null
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      encode | decode | roundtrip | bench | eval | plot | info | test | cut | cat | repair | convert | convert-model | \
        tokenize | merge | verify | detokenize)
        command=$word
        break
        ;;
    esac
  done

  case $previous in
    --as)
      case $command in
        detokenize) _mimi_words 'wav flac ogg' ;;
        tokenize) _mimi_words 'mimi npy wds safetensors parquet' ;;
        *) _mimi_words 'mimi npy safetensors moshi codec text' ;;
      esac
      ;;
    --channels)
      case $command in
        encode | roundtrip) _mimi_words 'mix left right keep' ;;
        *) _mimi_words 'mix left right' ;;
      esac
      ;;
    --dtype)
      case $command in
        convert) _mimi_words 'uint16 int16 int32 int64' ;;
        convert-model) _mimi_words 'bf16 int8' ;;
        bench) _mimi_words 'f32 bf16 int8 auto all' ;;
        *) _mimi_words 'f32 bf16 int8 auto' ;;
      esac
      ;;
    --format) _mimi_words 's16 s24 f32' ;;
    --isa) _mimi_words 'portable avx2 avxvnni avx512 avx512vnni avx512bf16 avx512amx neon neondotprod neoni8mm' ;;
    --compare) _mimi_files json ;;
    --like) _mimi_files mimi ;;
    --model) _mimi_files safetensors ;;
    --out | --out-dir | --root) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    --output | -o | --list | --plot) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    --raw) _mimi_words 's16 f32' ;;
    --resampler) _mimi_words 'best medium fast' ;;
    --window) _mimi_words 'offline moshi-streaming rust' ;;
    --block-frames | --fall | --from | --lead-in | --levels | -l | --rate | --raw-channels) COMPREPLY=() ;;
    --runs | --seconds | --streams | --threads | --to | --warm-up) COMPREPLY=() ;;
    --include | --resample | --seed | --shard | --shard-size) COMPREPLY=() ;;
    *) _mimi_argument ;;
  esac
}

# An option or an input of $command.
_mimi_argument() {
  case $command in
    info | merge | test | cut | cat | repair | convert | convert-model) ;;
    *) options+=' --model --threads --dtype --isa' ;;
  esac
  case $command in
    encode)
      options+=' -o --output -f --force --out-dir -l --levels --channels --raw-channels --raw --rate'
      options+=' --resampler --window --block-frames --from --to --warm-up --verify'
      ;;
    decode)
      options+=' -o --output -f --force --out-dir -l --levels --rate --format --raw --resampler'
      options+=' --window --from --to --warm-up'
      ;;
    roundtrip)
      options+=' -o --output -f --force -l --levels --channels --raw-channels --rate --format --raw'
      options+=' --resampler --window --plot'
      ;;
    bench) options+=' --json --seconds --streams --runs -l --levels --kernels --compare --fall' ;;
    eval) options+=' -l --levels --channels --resampler --window --json' ;;
    plot)
      options+=' -o --output -f --force --out-dir -l --levels --channels --resampler --window --from --to'
      ;;
    info) options+=' --json' ;;
    tokenize)
      options+=' --list --include --root --out --as -l --levels --shard-size --shard --channels'
      options+=' --resampler --window --strict --dry-run --json-progress'
      ;;
    verify) options+=' --sources --resample --seed' ;;
    detokenize)
      options+=' --out --as --shard --rate --format --resampler --strict --dry-run --json-progress'
      ;;
    cut) options+=' -o --output -f --force --out-dir --from --to -l --levels --lead-in' ;;
    cat) options+=' -o --output -f --force' ;;
    convert-model) options+=' --dtype -f --force' ;;
    repair) options+=' -o --output -f --force --out-dir' ;;
    convert) options+=' -o --output -f --force --out-dir --as --dtype --like' ;;
  esac
  case $current:$command in
    -*) _mimi_words "$options" ;;
    *:convert-model | *:merge | *:verify | *:detokenize) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    *:decode | *:info | *:test | *:cut | *:cat | *:repair) _mimi_files mimi ;;
    *:)
      _mimi_words 'encode decode roundtrip bench eval plot info tokenize merge verify detokenize test cut cat
        repair convert convert-model'
      ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
  esac
}

_mimi_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }

# Folders, and files with the suffix $1.
_mimi_files() {
  mapfile -t COMPREPLY < <(
    compgen -d -- "$current"
    compgen -f -X "!*.$1" -- "$current"
  )
}

complete -F _mimi mimi

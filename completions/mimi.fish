# Fish completion of mimi.

complete -c mimi -f

set -l modelled 'not __fish_seen_subcommand_from info merge test cut cat repair convert convert-model'
complete -c mimi -n $modelled -l model -r -F -d 'Model: folder, .safetensors file or name'
complete -c mimi -n $modelled -l threads -x -d 'Number of threads'
complete -c mimi -n $modelled -l dtype -x \
    -a 'f32 bf16 int8 auto' -d 'Numbers that are multiplied'
complete -c mimi -n '__fish_seen_subcommand_from bench' -l dtype -x -a all
complete -c mimi -n '__fish_seen_subcommand_from convert-model' -l dtype -x -a 'bf16 int8' \
    -d 'Weights to write'
complete -c mimi -n $modelled -l isa -x -a 'portable avx2 avxvnni avx512 avx512vnni avx512bf16 avx512amx neon neondotprod neoni8mm' -d 'Instruction set'
complete -c mimi -s q -l quiet -d 'Print errors only'
complete -c mimi -s h -l help -d 'Print help'
complete -c mimi -s V -l version -d 'Print the version'

complete -c mimi -n __fish_use_subcommand -a encode -d 'Turn recordings into .mimi files'
complete -c mimi -n __fish_use_subcommand -a decode -d 'Turn .mimi files into recordings'
complete -c mimi -n __fish_use_subcommand -a roundtrip -d 'Encode and decode a recording'
complete -c mimi -n __fish_use_subcommand -a bench -d 'Measure the speed of this machine'
complete -c mimi -n __fish_use_subcommand -a eval -d 'Measure how far decoded recordings are'
complete -c mimi -n __fish_use_subcommand -a plot -d 'Draw what the codec makes of recordings'
complete -c mimi -n __fish_use_subcommand -a info -d 'Show and check .mimi files'
complete -c mimi -n __fish_use_subcommand -a tokenize -d 'Turn recordings into a dataset of tokens'
complete -c mimi -n __fish_use_subcommand -a merge -d 'Make a dataset whole'
complete -c mimi -n __fish_use_subcommand -a verify -d 'Check a dataset'
complete -c mimi -n __fish_use_subcommand -a detokenize -d 'Turn a dataset into recordings'
complete -c mimi -n __fish_use_subcommand -a test -d 'Verify every checksum of .mimi files'
complete -c mimi -n __fish_use_subcommand -a cut -d 'Take a part of .mimi files'
complete -c mimi -n __fish_use_subcommand -a cat -d 'Join .mimi files'
complete -c mimi -n __fish_use_subcommand -a repair -d 'Save what is whole of damaged .mimi files'
complete -c mimi -n __fish_use_subcommand -a convert -d 'Turn .mimi files into other formats, and back'
complete -c mimi -n __fish_use_subcommand -a convert-model -d 'Write a model in bf16 or int8'

set -l writing '__fish_seen_subcommand_from encode decode roundtrip plot cut cat repair convert'
complete -c mimi -n $writing -s o -l output -r -F -d 'Output'
complete -c mimi -n "$writing convert-model" -s f -l force -d 'Overwrite existing files'

set -l coding '__fish_seen_subcommand_from encode decode roundtrip'
complete -c mimi -n $coding -l raw -x -a 's16 f32' -d 'Headerless samples'

set -l rated '__fish_seen_subcommand_from encode decode roundtrip detokenize'
complete -c mimi -n $rated -l rate -x -d 'Sample rate'

set -l resampling '__fish_seen_subcommand_from encode decode roundtrip eval plot tokenize detokenize'
complete -c mimi -n $resampling -l resampler -x -a 'best medium fast' -d 'Quality of resampling'

set -l windowed '__fish_seen_subcommand_from encode decode roundtrip eval plot tokenize'
complete -c mimi -n $windowed -l window -x -a 'offline moshi-streaming rust' -d 'Attention window'

set -l levelled '__fish_seen_subcommand_from encode decode roundtrip bench eval plot cut tokenize'
complete -c mimi -n $levelled -s l -l levels -x -d 'Codebooks per frame'

set -l many '__fish_seen_subcommand_from encode decode plot cut repair convert'
complete -c mimi -n $many -l out-dir -x -a '(__fish_complete_directories)' -d 'Folder for outputs'

set -l listening '__fish_seen_subcommand_from encode roundtrip'
complete -c mimi -n $listening -l channels -x -a 'mix left right keep' -d 'Channels to encode'
complete -c mimi -n '__fish_seen_subcommand_from eval plot tokenize' -l channels -x -a 'mix left right' -d 'Channel to encode'
complete -c mimi -n $listening -l raw-channels -x -d 'Channels of headerless input'

set -l sounding '__fish_seen_subcommand_from decode roundtrip detokenize'
complete -c mimi -n $sounding -l format -x -a 's16 s24 f32' -d 'Samples of the output'

set -l ranged '__fish_seen_subcommand_from encode decode plot cut'
complete -c mimi -n $ranged -l from -x -d 'Where to begin'
complete -c mimi -n $ranged -l to -x -d 'Where to end'
complete -c mimi -n '__fish_seen_subcommand_from cut' -l lead-in -x -d 'What to keep before the part'

set -l seeking '__fish_seen_subcommand_from encode decode'
complete -c mimi -n $seeking -l warm-up -x -d 'How long before --from to begin'
complete -c mimi -n '__fish_seen_subcommand_from encode' -l verify -d 'Read back what was written'

set -l converting '__fish_seen_subcommand_from convert'
complete -c mimi -n $converting -l as -x -a 'mimi npy safetensors moshi codec text' -d 'Format'
complete -c mimi -n $converting -l dtype -x -a 'uint16 int16 int32 int64' -d 'Type of codes'
complete -c mimi -n $converting -l like -r -F -d 'File with the model and rates'

complete -c mimi -n '__fish_seen_subcommand_from roundtrip' -l plot -r -F -d 'Picture of it'
complete -c mimi -n '__fish_seen_subcommand_from encode' -l block-frames -x -d 'Frames per block'
complete -c mimi -n '__fish_seen_subcommand_from bench' -l runs -x -d 'Runs to take the median of'
complete -c mimi -n '__fish_seen_subcommand_from bench' -l streams -x -d 'Streams advanced together'
complete -c mimi -n '__fish_seen_subcommand_from bench' -l seconds -x -d 'Seconds of audio in a run'
complete -c mimi -n '__fish_seen_subcommand_from bench' -l kernels -d 'Measure each kernel alone'
complete -c mimi -n '__fish_seen_subcommand_from bench' -l compare -r -F -d 'Figures to compare with'
complete -c mimi -n '__fish_seen_subcommand_from bench' -l fall -x -d 'Percent that a figure may fall'
complete -c mimi -n '__fish_seen_subcommand_from bench eval info' -l json -d 'Print JSON'

set -l tokenize '__fish_seen_subcommand_from tokenize'
complete -c mimi -n $tokenize -l list -r -F -d 'File with an input in each line'
complete -c mimi -n $tokenize -l include -x -d 'Which files of folders'
complete -c mimi -n $tokenize -l root -x -a '(__fish_complete_directories)' -d 'Where paths begin'
complete -c mimi -n $tokenize -l as -x -a 'mimi npy wds safetensors parquet' -d 'Form of the outputs'
complete -c mimi -n $tokenize -l shard-size -x -d 'Rows in a shard'

set -l making '__fish_seen_subcommand_from tokenize detokenize'
complete -c mimi -n $making -l out -x -a '(__fish_complete_directories)' -d 'Folder for what is made'
complete -c mimi -n $making -l shard -x -d 'Share of the shards'
complete -c mimi -n $making -l strict -d 'Stop at the first failure'
complete -c mimi -n $making -l dry-run -d 'Say what would be done'
complete -c mimi -n $making -l json-progress -d 'Print JSON on the way'

complete -c mimi -n '__fish_seen_subcommand_from detokenize' \
  -l as -x -a 'wav flac ogg' -d 'Form of the recordings'

set -l verify '__fish_seen_subcommand_from verify'
complete -c mimi -n $verify -l sources -d 'Check the source files too'
complete -c mimi -n $verify -l resample -x -d 'Share of the recordings to encode again'
complete -c mimi -n $verify -l seed -x -d 'Which recordings are chosen'

complete -c mimi -n '__fish_seen_subcommand_from convert-model merge verify detokenize' \
  -x -a '(__fish_complete_directories)'
complete -c mimi -n '__fish_seen_subcommand_from encode roundtrip bench eval plot convert tokenize' -F
complete -c mimi -n '__fish_seen_subcommand_from decode info test cut cat repair' -k -a '(__fish_complete_suffix .mimi)'

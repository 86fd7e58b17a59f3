#!/bin/sh
# The whole job on 1,797 handwritten digits, with the paper's net at an eighth of its width.
set -eu
began=$(date +%s)
rm -rf demo
run() {
    echo "\$ $*"
    "$@"
}
run python examples/digits.py demo/digits
run alexnet-tools pack --train demo/digits/train --val demo/digits/val --data demo/data
run alexnet-tools train --cpus 0,1 --recipe narrow --lr-steps 8 --data demo/data --run demo/run
run alexnet-tools eval --data demo/data --model demo/run
run alexnet-tools export demo/run demo/digits-net
run alexnet-tools eval --data demo/data --model demo/digits-net
run python examples/predict_mxnet.py demo/digits-net demo/digits/val/3/*49.png
echo "curves: demo/run/curves.png"
echo "exported: demo/digits-net-symbol.json demo/digits-net-0000.params demo/digits-net.json"
echo "took $(($(date +%s) - began)) s"
echo "Try next, in this folder, after: . .venv/bin/activate"
echo "  alexnet-tools serve demo/run --data demo/data                    # a page that shows what it sees"
echo "  alexnet-tools report demo/run                                    # the run on one page, report.html"
echo "  python -c 'import gluon_alexnet as ga; print(ga.load(\"demo/run\").predict(\"demo/digits/val/7\")[0].guesses[0])'"

<?php
namespace App\Core;
use App\Other\Thing;
use function App\helper;
require_once 'lib.php';
define('OLD', 1);
const LIMIT = 10;
/** A shape. */
abstract class Shape extends Base implements Area {
    const MAX = 5;
    private $count = 0;
    public static ?int $total;
    public function __construct(int $n) { parent::__construct($n); $this->count = helper($n); }
    abstract protected function grow($by);
    public static function create(): self { return new Circle(self::MAX); }
}
interface Area { public function area(); }
trait Named { public $name; function label() { return $this->name; } }
enum Color: string { case Red = 'r'; }
function top($a) { return Shape::create()->grow(LIMIT); }

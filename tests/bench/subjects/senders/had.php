<?php
// Says in JSON which rivals can run here, and their versions: those below build/bench/php, or installed with this PHP.
declare(strict_types=1);

if (is_file($rivals = __DIR__ . '/../../../../build/bench/php/vendor/autoload.php')) {
    require $rivals;
}
$version = static function (string $package): string {
    $known = class_exists(Composer\InstalledVersions::class) && Composer\InstalledVersions::isInstalled($package);
    return $known ? (string) Composer\InstalledVersions::getPrettyVersion($package) : '';
};
$had = ['php' => PHP_VERSION];
if (extension_loaded('xlswriter')) {
    $had['xlswriter'] = (string) phpversion('xlswriter');
}
foreach ([
    'php_xlsxwriter' => ['mk-j/php_xlsxwriter', XLSXWriter::class],
    'openspout' => ['openspout/openspout', OpenSpout\Writer\XLSX\Writer::class],
    'phpspreadsheet' => ['phpoffice/phpspreadsheet', PhpOffice\PhpSpreadsheet\Spreadsheet::class],
] as $name => [$package, $class]) {
    if (class_exists($class)) {
        $had[$name] = $version($package);
    }
}
echo json_encode($had);
